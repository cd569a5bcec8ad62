//! The built-in table: what is secret by the name of its place.

/// Headers whose value is secret; of `cookie` and `set-cookie` the values of the cookies.
pub(super) const HEADERS: [&str; 19] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-vault-token",
    "private-token",
    "x-gitlab-token",
    "x-shopify-access-token",
    "x-functions-key",
    "ocp-apim-subscription-key",
];

/// Parameters of queries and fields of forms.
pub(super) const PARAMETERS: [&str; 33] = [
    "access_token",
    "refresh_token",
    "id_token",
    "token",
    "auth",
    "api_key",
    "apikey",
    "key",
    "client_secret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "code",
    "code_verifier",
    "state",
    "nonce",
    "sig",
    "signature",
    "hmac",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
    "session",
    "sid",
    "csrf",
    "csrf_token",
    "samlresponse",
    "samlrequest",
    "assertion",
    "client_assertion",
];

/// What a parameter's name says and a JSON member's does not: too many things are a `key` or in a `state`.
pub(super) const NOT_IN_JSON: [&str; 8] = ["key", "code", "state", "nonce", "sid", "session", "auth", "hmac"];

/// What only a JSON member's name says.
pub(super) const ONLY_IN_JSON: [&str; 9] = [
    "secret_key",
    "private_key",
    "access_key",
    "secret_access_key",
    "session_token",
    "bearer_token",
    "authorization",
    "otp",
    "pin",
];
