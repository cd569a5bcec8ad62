//! The table of secret names: the last words of a name decide. docs/reference/redaction.md lists it.

use super::NameClass::{self, Replaced, Secret, SecretIfOpaque, SecretIfRandom};
use super::NameLocation::{self, Form, Header, Member, Query};

/// Names of one class. Separated by spaces; `_` separates the words of a name. A name with `=` must be the whole name,
/// or the whole last part of a path such as `filter[code]`.
pub(crate) struct ClassRow {
    pub(crate) class: NameClass,
    pub(crate) locations: &'static [NameLocation],
    pub(crate) names: &'static str,
}

/// Words that make a name public if they stand directly before `word`; before any name of the table if it is empty.
pub(crate) struct PublicRow {
    pub(crate) word: &'static str,
    pub(crate) before: &'static str,
}

const ALL: &[NameLocation] = &[Header, Query, Form, Member];

const fn row(class: NameClass, locations: &'static [NameLocation], names: &'static str) -> ClassRow {
    ClassRow { class, locations, names }
}

/// All secret names. The longest name that a name ends with decides, then the first row.
pub(crate) const CLASSES: [ClassRow; 11] = [
    row(Secret, &[Header], "=authorization =proxy_authorization =cookie =set_cookie"),
    row(
        Secret,
        ALL,
        "password passwd passphrase passcode pwd pw pass secret secret_key secret_string secret_binary secret_text \
         secret_data secret_hash password_hash password_digest private_key signing_key encryption_key access_key credential \
         credentials connection_string recovery_code recovery_codes backup_code backup_codes recovery_phrase \
         seed_phrase mnemonic otp totp otp_code totp_code otp_token totp_token otp_attempt mfa_code mfa_token 2fa_code \
         tfa_code two_factor_code two_factor_token authenticator_code sms_code email_code verification_code \
         confirmation_code one_time_code token_code login_code access_code activation_code reset_code security_code \
         pairing_code user_code security_answer privkey private_key_pem psk pin_code ntlm_hash cvv cvc",
    ),
    row(Secret, &[Header, Form, Member], "pin"),
    row(Secret, &[Header], "mfa"),
    row(
        Replaced,
        ALL,
        "client_request_token idempotency idempotency_key idempotency_token idempotency_id idempotent_key",
    ),
    row(Replaced, &[Header, Query, Form], "amz_date goog_date"),
    row(
        SecretIfRandom,
        ALL,
        "token access_tokens refresh_tokens token_hint jwt bearer signature signature_sha signature_ed sig hmac \
         hmac_sha salt csrf xsrf assertion cookie api_key api_keys hapikey app_key application_key subscription_key \
         account_key storage_key master_key consumer_key session_key shared_key auth_key client_key license_key \
         session_id sess_id sessid phpsessid jsessionid session_state saml_response saml_request saml_art relay_state \
         oauth_state auth_state login_state csrf_state code_challenge code_verifier verifier device_code session_code authorization_code auth_code \
         oauth_code invite_code invitation_code token_hash signed_request auth_ticket login_ticket kubeconfig",
    ),
    row(SecretIfRandom, &[Header, Query, Form], "sid ticket"),
    row(SecretIfRandom, &[Query, Form], "=sign"),
    row(SecretIfRandom, &[Header], "honeycomb_team art_api access_sign api_sign"),
    row(SecretIfOpaque, ALL, "key session auth authorization authentication nonce =code =state"),
];

/// Words before a secret word that make a name public.
pub(crate) const PUBLIC: [PublicRow; 5] = [
    PublicRow { word: "", before: "public publishable" },
    PublicRow {
        word: "token",
        before: "next previous prev page paging pagination continuation continue cursor sync delta skip start \
                 starting end resume scroll stream list marker result results bos eos pad unk sep cls mask special",
    },
    PublicRow {
        word: "key",
        before: "primary foreign sort partition range row hash cache surrogate composite unique natural group index \
                 map object bucket path file folder prefix image photo media asset blob attachment document \
                 message routing ordering shard dedup deduplication translation locale lookup search site issue \
                 project product item record resource entity event reference external tracking correlation trace \
                 websocket socket host start end first last next previous evaluated",
    },
    PublicRow { word: "pass", before: "boarding season day event first second single two" },
    PublicRow { word: "auth", before: "no" },
];

/// Words before a secret name that make it that of a setting, whose values are secret only if they are opaque.
pub(crate) const FLAGS: &str = "has is allow allows allowed show hide require requires required use uses enable \
    enabled disable disabled forgot with without include includes need needs support supports accept accepts";

/// Last words that are too frequent to be searched for in JSON. The word before them is searched for.
pub(crate) const FREQUENT: &str =
    "id sha ed hint hash digest string binary text data response request art pem attempt answer";

/// Words behind a secret name that do not change its class, like digits.
pub(crate) const SUFFIXES: &str = "confirmation confirm value current new repeat again plain string";

/// Words that occur before secret words in names without separators, in addition to those above.
pub(crate) const OTHER_WORDS: &str = "access refresh id api app application client user admin login account db php asp \
    aspx net web hook webhook middleware bot personal device push service server old my pg tls ws sso bind root wpa";
