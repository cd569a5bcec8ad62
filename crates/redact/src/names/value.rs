//! Values that look like secrets.

/// The length from which any value without white space looks random, bytes.
const LONG: usize = 16;
/// The length from which letters and digits together look random, bytes.
const SHORT: usize = 8;
/// The longest word of a readable text, and the longest number in it.
const MAX_WORD: usize = 14;
/// The number of digits that may stand beside letters in a readable text, as in `PGRST116`.
const MAX_SUFFIX: usize = 5;
/// The length of the beginning of a value that is judged, bytes.
const MAX_VALUE: usize = 4096;
/// Authentication schemes that may stand before a value.
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "digest", "apikey", "key"];

/// Returns true if a value looks random: 16 characters without white space, or 8 with letters and digits in one word
/// (not `next-page-2`). A text with white space looks random if it contains a word that is long and not readable, as a
/// list of signatures does.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    let value = without_scheme(value[..value.len().min(MAX_VALUE)].trim_ascii());
    if value.iter().any(u8::is_ascii_whitespace) {
        let mut words = value.split(u8::is_ascii_whitespace);
        return words.any(|word| word.len() >= LONG && !is_readable(word));
    }
    value.len() >= LONG || is_password(value)
}

/// Returns true if a value looks like a password in a text: 8 characters without white space, with letters and digits
/// in one word.
pub(crate) fn is_password(value: &[u8]) -> bool {
    let is_mixed = |word: &[u8]| word.iter().any(u8::is_ascii_digit) && !word.iter().all(u8::is_ascii_digit);
    value.len() >= SHORT && !value.iter().any(u8::is_ascii_whitespace) && words(value).any(is_mixed)
}

/// Returns true if a value has characters of an expression in a program: `form.password2`.
pub(crate) fn is_expression(value: &[u8]) -> bool {
    value.iter().any(|byte| b"(){}[];,.$".contains(byte))
}

/// Returns true if a value beside the name of a variable stands for another one: a variable, a file, a hint.
pub(crate) fn is_reference(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'$' | b'%' | b'{' | b'<' | b'*' | b'/')) || memchr::memchr(b'&', value).is_some()
}

/// Returns true if a value in a list under a secret name is a message of a validation: `is too short (minimum is 8
/// characters)`. A password in a list is one word.
pub(crate) fn is_message(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_alphabetic)
        && value.iter().filter(|byte| byte.is_ascii_whitespace()).count() >= 2
        && value.split(u8::is_ascii_whitespace).all(|word| word.len() <= LONG && is_readable(word))
}

/// Returns true for the address of an account or a contract (EIP-55), which is public.
pub(crate) fn is_address(value: &[u8]) -> bool {
    value.strip_prefix(b"0x").is_some_and(|digits| digits.len() == 40 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Returns true if a value looks random and consists of more than words, numbers and separators:
/// `requires_payment_method` and `PROJ-1234` do not look like a key. Neither do paths and URLs with a dot.
pub(crate) fn looks_opaque(value: &[u8]) -> bool {
    let judged = without_scheme(&value[..value.len().min(MAX_VALUE)]);
    let is_path = || judged.contains(&b'/') && judged.contains(&b'.');
    looks_random(value) && !is_readable(judged) && !is_path()
}

fn without_scheme(value: &[u8]) -> &[u8] {
    let Some(space) = memchr::memchr(b' ', value) else { return value };
    let is_scheme = SCHEMES.iter().any(|scheme| value[..space].eq_ignore_ascii_case(scheme.as_bytes()));
    if is_scheme { value[space..].trim_ascii_start() } else { value }
}

/// Returns the parts of a text between separators.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric() && byte.is_ascii())
}

/// Returns true if a text consists of words and numbers with separators.
fn is_readable(text: &[u8]) -> bool {
    words(text).all(is_readable_part)
}

/// Returns true for words, a number, a word with a short number before or behind it, and the middle of an ISO 8601
/// time.
fn is_readable_part(part: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let before = digits(part);
    let behind = part.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if before == part.len() {
        return before <= MAX_WORD;
    }
    let letters = &part[before..part.len() - behind];
    if letters == b"T" && before == 2 {
        return true;
    }
    before.min(behind) == 0 && before + behind <= MAX_SUFFIX && is_words(letters)
}

/// Returns true for a word in one case, and for words in camel case.
fn is_words(letters: &[u8]) -> bool {
    if letters.iter().all(u8::is_ascii_uppercase) {
        return letters.len() <= MAX_WORD;
    }
    let mut rest = letters;
    while !rest.is_empty() {
        let is_first = rest.len() == letters.len();
        let capital = usize::from(rest[0].is_ascii_uppercase());
        let small = rest[capital..].iter().take_while(|byte| byte.is_ascii_lowercase() || !byte.is_ascii()).count();
        if small > MAX_WORD || small < if is_first { 1 } else { 2 } {
            return false;
        }
        rest = &rest[capital + small..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_and_letters_with_digits_look_random() {
        for value in [
            "abcd1234",
            "PGRST116",
            "hunter2-pw",
            "0123456789abcdef",
            "correct-horse-battery-staple",
            "4/0AX4XfWjZ8x",
            "Bearer abcd1234",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9p",
            "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
        ] {
            assert!(looks_random(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "FR",
            "NY",
            "date",
            "required",
            "next-page-2",
            "PROJ-1234",
            "ORA-00942",
            "12345678",
            "Bearer",
            "abcdefgh",
            "Ada Lovelace of London",
            "valid until 2026-01-02",
        ] {
            assert!(!looks_random(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn words_numbers_and_separators_are_not_opaque() {
        for value in [
            "550e8400-e29b-41d4-a716-446655440000",
            "xyzABC123def456",
            "qwKzVbXnMpLrTsGh",
            "q7Lx0PzR4vTn8Kc",
            "SplxlOBeZQQYbYS6WxSbIA",
            "4111111111111111",
        ] {
            assert!(looks_opaque(value.as_bytes()), "{value}");
        }
        for value in [
            "requires_payment_method",
            "ERR_INVALID_ARGUMENT_TYPE",
            "insufficientPermissionsForUser",
            "uploads/2026/01/customer-photo.jpg",
            "uploads/6ba7b810-9dad-11d1-80b4-00c04fd430c8.png",
            "PGRST116",
            "SUMMER2026",
            "PROJECT-12345",
            "2026-01-02T03:04:05Z",
            "https://app.example.com/start",
        ] {
            assert!(!looks_opaque(value.as_bytes()), "{value}");
        }
    }
}
