//! The built-in table of secret names.

/// Headers with a secret value. In `cookie` and `set-cookie`, the values of the cookies are secret.
#[rustfmt::skip]
pub(crate) const HEADERS: [&str; 19] = [
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey", "x-auth-token",
    "x-access-token", "x-csrf-token", "x-xsrf-token", "x-amz-security-token", "x-goog-api-key", "x-vault-token",
    "private-token", "x-gitlab-token", "x-shopify-access-token", "x-functions-key", "ocp-apim-subscription-key",
];

/// Parameters of queries and fields of forms with a secret value.
#[rustfmt::skip]
pub(crate) const PARAMETERS: [&str; 33] = [
    "access_token", "refresh_token", "id_token", "token", "auth", "api_key", "apikey", "key", "client_secret",
    "secret", "password", "passwd", "pwd", "code", "code_verifier", "state", "nonce", "sig", "signature", "hmac",
    "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential", "session",
    "sid", "csrf", "csrf_token", "samlresponse", "samlrequest", "assertion", "client_assertion",
];

/// Parameters that are not secret as members of JSON, where these names often have another meaning.
pub(crate) const ONLY_PARAMETERS: [&str; 8] = ["key", "code", "state", "nonce", "sid", "session", "auth", "hmac"];

/// Members of JSON with a secret value, in addition to the other parameters.
#[rustfmt::skip]
pub(crate) const ONLY_MEMBERS: [&str; 9] = [
    "secret_key", "private_key", "access_key", "secret_access_key", "session_token", "bearer_token", "authorization",
    "otp", "pin",
];

/// Returns the names of all members of JSON with a secret value.
pub(crate) fn members() -> impl Iterator<Item = &'static str> {
    PARAMETERS.into_iter().filter(|name| !ONLY_PARAMETERS.contains(name)).chain(ONLY_MEMBERS)
}
