//! A corpus of names with values from APIs and frameworks: secrets, and data that resembles them.

use NameLocation::{Form, Header, Member, Query};

use super::*;

/// Secret names in their locations, with a value. `@` stands for 32 random letters and digits, `#` for a UUID.
#[rustfmt::skip]
const SECRETS: &[(&[NameLocation], &str, &str)] = &[
    // OAuth 2, OpenID Connect, SAML
    (&[Query, Form, Member], "code", "4/0AX4XfWh-@"),
    (&[Query, Form, Member], "state", "@"),
    (&[Query, Form, Member], "nonce", "n-0S6_WzA2Mj7f"),
    (&[Form, Member], "access_token", "@"),
    (&[Form, Member], "refresh_token", "8xLOxBtZp8"),
    (&[Query, Form, Member], "id_token_hint", "@"),
    (&[Form, Member], "client_secret", "s"),
    (&[Query, Form, Member], "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    (&[Form, Member], "code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    (&[Form, Member], "device_code", "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"),
    (&[Query, Form], "client_assertion", "@"),
    (&[Form, Member], "assertion", "@"),
    (&[Query, Form], "oauth_token", "kkk9d7dh3k39sjv7"),
    (&[Form, Member], "oauth_token_secret", "pfkkdhi9sl3r4s00"),
    (&[Query, Form], "oauth_verifier", "hfdp7dh39dks9884"),
    (&[Query, Form], "oauth_nonce", "7d8f3e4a2b1c"),
    (&[Query, Form], "oauth_signature", "74KNZJeDHnMBp0EMJ9ZHt/XKycU="),
    (&[Query, Form], "oauth_consumer_key", "dpf43f3p2l4k3l03"),
    (&[Query, Form], "SAMLResponse", "PHNhbWxwOlJlc3BvbnNlPg=="),
    (&[Query], "SAMLRequest", "fZFfa8IwFMXfBb9DyXvaJtMy"),
    (&[Query], "SAMLart", "AAQAADWNEw5VT47wcO4zX/iE"),
    (&[Query, Form], "RelayState", "@"),
    (&[Query], "session_state", "#"),
    (&[Query], "ticket", "ST-1856339-aA5Yuvrxzpv8Tau1cYQ7"),
    (&[Query, Form, Member], "authorization_code", "@"),
    (&[Query], "sso_token", "@"),
    // Passwords
    (&[Query, Form, Member], "password", "a"),
    (&[Form, Member], "passwd", "hunter2"),
    (&[Form, Member], "pwd", "hunter2"),
    (&[Form, Member], "pass", "hunter2"),
    (&[Form, Member], "passphrase", "correct horse battery staple"),
    (&[Form, Member], "new_password", "hunter2"),
    (&[Form, Member], "newPassword", "hunter2"),
    (&[Form, Member], "old_password", "hunter2"),
    (&[Form, Member], "currentPassword", "hunter2"),
    (&[Form, Member], "current_password", "hunter2"),
    (&[Form, Member], "confirmPassword", "hunter2"),
    (&[Form, Member], "password_confirmation", "hunter2"),
    (&[Form, Member], "passwordConfirm", "hunter2"),
    (&[Form, Member], "password_new", "hunter2"),
    (&[Form, Member], "password1", "hunter2"),
    (&[Form, Member], "password2", "hunter2"),
    (&[Form, Member], "j_password", "hunter2"),
    (&[Form, Member], "user_pass", "hunter2"),
    (&[Form, Member], "userpassword", "hunter2"),
    (&[Form], "user[password]", "hunter2"),
    (&[Form], "user[password_confirmation]", "hunter2"),
    (&[Form], "password[]", "hunter2"),
    (&[Form, Member], "user.password", "hunter2"),
    (&[Member], "passwordHash", "$2b$12$abc"),
    (&[Header], "X-Amz-Meta-Password", "hunter2"),
    (&[Form, Member], "dbPassword", "hunter2"),
    (&[Form, Member], "pin", "1234"),
    (&[Form, Member], "user_pin", "1234"),
    (&[Form, Member], "otp", "123456"),
    (&[Form, Member], "totp", "123456"),
    (&[Form, Member], "mfa_code", "123456"),
    (&[Form, Member], "mfaCode", "123456"),
    (&[Form, Member], "otp_code", "123456"),
    (&[Form, Member], "2fa_code", "123456"),
    (&[Form, Member], "verification_code", "123456"),
    (&[Member], "recovery_code", "abcd-efgh"),
    (&[Member], "recoveryCodes", "abcd-efgh"),
    (&[Member], "backup_codes", "abcd-efgh"),
    (&[Member], "totp_secret", "JBSWY3DPEHPK3PXP"),
    (&[Form, Member], "cvv", "123"),
    (&[Form, Member], "cvc", "123"),
    (&[Member], "mnemonic", "abandon ability able"),
    // Sessions, cross-site request forgery
    (&[Query, Form, Member], "session_id", "@"),
    (&[Query, Form, Member], "sessionId", "#"),
    (&[Query, Form], "sessionid", "@"),
    (&[Query, Form], "PHPSESSID", "el4ukv0kqbvoirg7nkp4dncpk3"),
    (&[Query, Form], "jsessionid", "1A530637289A03B07199A44E8D531427"),
    (&[Query, Form], "sid", "@"),
    (&[Query, Form, Member], "session", "@"),
    (&[Form], "_csrf", "#"),
    (&[Form], "csrfmiddlewaretoken", "@"),
    (&[Form], "authenticity_token", "@"),
    (&[Form], "__RequestVerificationToken", "CfDJ8NrAkS@"),
    (&[Form], "_token", "@"),
    (&[Form, Member], "csrfToken", "@"),
    (&[Header], "X-CSRF-Token", "@"),
    (&[Header], "X-CSRFToken", "@"),
    (&[Header], "X-XSRF-TOKEN", "@"),
    (&[Header], "X-WP-Nonce", "f4a1b2c3d4"),
    (&[Header, Member], "cookie", "sid=@"),
    (&[Header], "X-Session-Token", "@"),
    // API keys and tokens in headers
    (&[Header], "Authorization", "a"),
    (&[Header], "Proxy-Authorization", "Basic dTpw"),
    (&[Header], "X-Forwarded-Authorization", "Bearer @"),
    (&[Header], "Grpc-Metadata-Authorization", "Bearer @"),
    (&[Header], "Authorization-Token", "@"),
    (&[Header], "X-Api-Key", "@"),
    (&[Header], "Api-Key", "@"),
    (&[Header], "ApiKey", "@"),
    (&[Header], "X-API-Token", "@"),
    (&[Header], "Api-Token", "@"),
    (&[Header], "Token", "@"),
    (&[Header], "X-Auth-Key", "@"),
    (&[Header], "X-Auth-Token", "@"),
    (&[Header], "X-Access-Token", "@"),
    (&[Header], "X-Access-Key", "a"),
    (&[Header], "X-User-Token", "@"),
    (&[Header], "X-Client-Secret", "a"),
    (&[Header], "X-Webhook-Secret", "a"),
    (&[Header], "DD-API-KEY", "@"),
    (&[Header], "DD-APPLICATION-KEY", "@"),
    (&[Header], "DDApiKey", "@"),
    (&[Header], "X-Algolia-API-Key", "@"),
    (&[Header], "X-Parse-Master-Key", "@"),
    (&[Header], "X-Parse-REST-API-Key", "@"),
    (&[Header], "X-Parse-Session-Token", "r:@"),
    (&[Header], "X-RapidAPI-Key", "@"),
    (&[Header], "X-Figma-Token", "@"),
    (&[Header], "Circle-Token", "@"),
    (&[Header, Query], "X-Plex-Token", "@"),
    (&[Header], "X-Forwarded-Access-Token", "@"),
    (&[Header], "X-Goog-Iap-Jwt-Assertion", "@"),
    (&[Header], "Cf-Access-Jwt-Assertion", "@"),
    (&[Header], "X-Goog-Api-Key", "@"),
    (&[Header], "X-Ms-Token-Aad-Access-Token", "@"),
    (&[Header], "Ocp-Apim-Subscription-Key", "@"),
    (&[Header], "X-Functions-Key", "@"),
    (&[Header, Query], "Job-Token", "@"),
    (&[Header], "Deploy-Token", "@"),
    (&[Header], "Private-Token", "@"),
    (&[Header], "X-Gitlab-Token", "@"),
    (&[Header], "Fastly-Key", "@"),
    (&[Header], "Xi-Api-Key", "@"),
    (&[Header], "X-Honeycomb-Team", "@"),
    (&[Header], "Intercom-Secret", "a"),
    (&[Header], "X-Vault-Token", "@"),
    (&[Header], "X-Consul-Token", "@"),
    (&[Header], "X-Nomad-Token", "@"),
    (&[Header], "X-Jfrog-Art-Api", "@"),
    (&[Header], "X-Hasura-Admin-Secret", "a"),
    (&[Header], "X-Tableau-Auth", "@"),
    (&[Header], "X-Shopify-Access-Token", "@"),
    (&[Header], "X-Amz-Security-Token", "@"),
    (&[Header], "X-Amz-Date", "20260102T030405Z"),
    // Signatures of webhooks
    (&[Header], "Stripe-Signature", "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"),
    (&[Header], "X-Hub-Signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"),
    (&[Header], "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    (&[Header], "X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    (&[Header], "X-Shopify-Hmac-Sha256", "XWmrwMey6OsLMeiZKwP4FppHH3cmAiiJJAweH5Jo4bM="),
    (&[Header], "X-Twilio-Signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    (&[Header], "X-Signature-Ed25519", "@"),
    (&[Header], "svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo="),
    (&[Header], "Paddle-Signature", "ts=1671552777;h1=eb4d0dc8853be92b7f063b9f3ba5233eb920a09459b6e6b2c26705b4364db151"),
    (&[Header], "Signature", "keyId=\"a\",headers=\"date host\",signature=\"Y2FiYXJldG9mdGhlbmlnaHQwMTIz\""),
    // AWS, Google Cloud, Azure
    (&[Query, Form], "X-Amz-Signature", "@"),
    (&[Query, Form], "X-Amz-Credential", "AKID/20260102/us-east-1/s3/aws4_request"),
    (&[Query, Form], "X-Amz-Date", "20260102T030405Z"),
    (&[Query], "X-Goog-Signature", "@"),
    (&[Query], "X-Goog-Date", "20260102T030405Z"),
    (&[Query], "sig", "@%2B"),
    (&[Query], "Signature", "@"),
    (&[Member], "SecretAccessKey", "a"),
    (&[Member], "aws_secret_access_key", "a"),
    (&[Member], "SessionToken", "@"),
    (&[Member], "SecretString", "a"),
    (&[Form, Member], "ClientRequestToken", "a"),
    (&[Form, Member], "clientToken", "#"),
    (&[Member], "accountKey", "@=="),
    (&[Member], "sasToken", "sv=2022-11-02&sig=@"),
    (&[Member], "connectionString", "Server=db;User Id=sa"),
    (&[Member], "secretText", "a"),
    (&[Query], "key", "@"),
    // Members of responses, and other parameters
    (&[Member], "authToken", "@"),
    (&[Member], "auth_token", "@"),
    (&[Member], "jwtToken", "@"),
    (&[Member], "jwt", "@"),
    (&[Member], "bearer", "@"),
    (&[Member], "apiToken", "@"),
    (&[Member], "deviceToken", "@"),
    (&[Member], "webhook_secret", "a"),
    (&[Member], "webhookSecret", "a"),
    (&[Member], "signingSecret", "a"),
    (&[Member], "appSecret", "a"),
    (&[Member], "consumerSecret", "a"),
    (&[Member], "encryptionKey", "a"),
    (&[Member], "signing_key", "a"),
    (&[Form, Member], "secret_key", "a"),
    (&[Form, Member], "private_key", "a"),
    (&[Form, Member], "access_key", "a"),
    (&[Member], "masterKey", "@"),
    (&[Member], "X-Api-Key", "@"),
    (&[Form, Member], "credential", "a"),
    (&[Member], "credentials", "a"),
    (&[Member], "authorization", "Bearer @"),
    (&[Member], "auth", "dXNlcjpwYXNzd29yZA=="),
    (&[Member], "salt", "@"),
    (&[Member], "hmac", "@"),
    (&[Query, Form], "apikey", "@"),
    (&[Query], "app_key", "@"),
    (&[Query], "subscription-key", "@"),
    (&[Query], "hapikey", "#"),
    (&[Query], "accesstoken", "@"),
    (&[Query], "reset_token", "@"),
    (&[Query], "invite_token", "@"),
    (&[Query], "fb_exchange_token", "@"),
    (&[Query], "login_token", "@"),
    (&[Query], "auth_key", "@"),
    (&[Header, Form, Member], "Idempotency-Key", "order-17"),
    (&[Header], "X-Idempotency-Key", "a"),
    (&[Member], "idempotencyKey", "a"),
];

/// Names and values that replay unchanged.
#[rustfmt::skip]
const HARMLESS: &[(&[NameLocation], &str, &str)] = &[
    // Discovery documents and descriptions of tokens
    (&[Member], "authorization_endpoint", "https://id.example.com/oauth2/authorize"),
    (&[Member], "token_endpoint", "https://id.example.com/oauth2/token"),
    (&[Member], "device_authorization_endpoint", "https://id.example.com/oauth2/device"),
    (&[Member], "password_reset_url", "https://id.example.com/reset-password-1"),
    (&[Member], "jwks_uri", "https://id.example.com/keys"),
    (&[Member], "token_type", "Bearer-0123456789abcdef"),
    (&[Member], "code_challenge_method", "S256"),
    (&[Member], "code_challenge_methods_supported", "S256"),
    (&[Member], "token_endpoint_auth_method", "client_secret_post_1"),
    (&[Member], "id_token_signing_alg_values_supported", "RS256"),
    (&[Member], "token_expires", "2026-01-02T03:04:05Z"),
    (&[Form, Member], "grant_type", "authorization_code"),
    (&[Query, Member], "response_type", "code id_token token"),
    (&[Query, Form], "client_id", "0123456789abcdef0123456789abcdef"),
    (&[Member], "token_hash_algorithm", "sha256-0123456789abcdef"),
    (&[Member], "access_token_url", "https://id.example.com/token"),
    (&[Member], "session_timeout", "0123456789abcdef"),
    (&[Member], "secret_name", "prod/database/0123456789"),
    (&[Member], "secretArn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db"),
    (&[Member], "AccessKeyId", "0123456789ABCDEF"),
    (&[Member], "key_id", "0123456789abcdef"),
    (&[Query], "Key-Pair-Id", "K2JCJMDEHXQW5F"),
    (&[Member], "kid", "0123456789abcdef"),
    (&[Member], "password_policy", "at-least-8-characters-1"),
    (&[Member], "passwordStrength", "strong-0123456789"),
    (&[Member], "password_changed_at", "2026-01-02T03:04:05Z"),
    (&[Member], "auth_provider", "google-oauth2-provider-1"),
    (&[Member], "authMethod", "client_secret_basic_1"),
    (&[Member], "signature_version", "s3v4-0123456789"),
    (&[Query], "X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    (&[Query], "X-Amz-SignedHeaders", "content-type;host;x-amz-date"),
    (&[Query], "X-Amz-Expires", "3600"),
    (&[Query], "oauth_signature_method", "HMAC-SHA1"),
    (&[Member], "tokenizer", "cl100k_base_0123456789"),
    // Pagination
    (&[Query, Form, Member], "next_token", "@"),
    (&[Query, Form, Member], "NextToken", "@"),
    (&[Query, Form, Member], "nextToken", "@"),
    (&[Query, Form, Member], "page_token", "@"),
    (&[Query, Form, Member], "pageToken", "@"),
    (&[Query, Form, Member], "pagetoken", "@"),
    (&[Query, Form, Member], "next_page_token", "@"),
    (&[Query, Form, Member], "nextPageToken", "@"),
    (&[Query, Form, Member], "continuation_token", "@"),
    (&[Query, Form, Member], "continuation-token", "@"),
    (&[Member], "NextContinuationToken", "@"),
    (&[Query, Header], "x-ms-continuationtoken", "@"),
    (&[Header], "x-ms-continuation", "@"),
    (&[Member], "paginationToken", "@"),
    (&[Member], "StartingToken", "@"),
    (&[Member], "nextSyncToken", "@"),
    (&[Query], "$skiptoken", "@"),
    (&[Query], "$deltatoken", "@"),
    (&[Query, Member], "cursor", "@"),
    (&[Query, Member], "next_cursor", "@"),
    (&[Member], "endCursor", "@"),
    (&[Query, Member], "marker", "@"),
    (&[Member], "resumeToken", "@"),
    // Keys of data
    (&[Member], "keys", "0123456789abcdef"),
    (&[Member], "public_key", "@"),
    (&[Member], "publicKey", "@"),
    (&[Member], "publishable_key", "@"),
    (&[Member], "primary_key", "@"),
    (&[Member], "foreignKey", "@"),
    (&[Member], "sort_key", "@"),
    (&[Member], "cache_key", "@"),
    (&[Member], "PartitionKey", "#"),
    (&[Member], "RowKey", "#"),
    (&[Header], "Surrogate-Key", "product-1 product-2-0123456789abcdef"),
    (&[Header], "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    (&[Member], "objectKey", "uploads/0123456789abcdef.png"),
    (&[Member], "routing_key", "orders.created.0123456789"),
    (&[Member], "projectKey", "@"),
    (&[Query], "key", "date"),
    (&[Member], "key", "PROJ-1234"),
    (&[Member], "key", "uploads/2026/01/customer-photo.jpg"),
    (&[Member], "key", "feature-flag-new-checkout"),
    (&[Member], "site_key", "@"),
    // Codes and states
    (&[Query, Form, Member], "code", "FR"),
    (&[Query, Form, Member], "state", "NY"),
    (&[Query, Form, Member], "state", "open"),
    (&[Query, Form], "filter[state]", "CA"),
    (&[Member], "code", "resource_not_found_error"),
    (&[Member], "code", "PGRST116"),
    (&[Member], "code", "ERR_INVALID_ARGUMENT_TYPE"),
    (&[Member], "code", "AADSTS50076"),
    (&[Member], "state", "requires_payment_method"),
    (&[Member], "mergeable_state", "blocked-0123456789"),
    (&[Member], "provisioningState", "Succeeded0123456789"),
    (&[Query, Member], "status_code", "200-0123456789abcdef"),
    (&[Query, Member], "error_code", "E0123456789abcdef"),
    (&[Query, Member], "country_code", "FR-0123456789"),
    (&[Query, Member], "zip_code", "AB12-3CD-0123456"),
    (&[Query, Member], "postalCode", "SW1A1AA0123"),
    (&[Query, Member], "currencyCode", "EUR"),
    (&[Query, Member], "languageCode", "de-DE-1996-0123"),
    (&[Query, Member], "promo_code", "SUMMER2026"),
    (&[Query, Member], "tracking_code", "1Z999AA10123456784"),
    (&[Query, Member], "zipcode", "AB123CD4"),
    (&[Header], "X-Error-Code", "E0123456789abcdef"),
    (&[Member], "hashCode", "0123456789abcdef"),
    (&[Member], "barcode", "A0123456789012"),
    (&[Member], "stateCode", "NY-0123456789abc"),
    // Counters, flags and words
    (&[Member], "max_tokens", "0123456789abcdef"),
    (&[Member], "token_count", "0123456789abcdef"),
    (&[Member], "tokens", "internationalization"),
    (&[Member], "token", "next-page-2"),
    (&[Member], "token", "hello"),
    (&[Query], "session", "42"),
    (&[Member], "session", "morning-workshop-day-1"),
    (&[Member], "authorization", "required"),
    (&[Member], "auth", "required-by-policy"),
    (&[Member], "signature", "Ada Lovelace"),
    (&[Member], "has_password", "yes"),
    (&[Form], "show_password", "1"),
    (&[Member], "requires_otp", "sms"),
    (&[Header], "Access-Control-Allow-Credentials", "true"),
    (&[Header], "Accept", "application/vnd.github.v3+json"),
    (&[Header], "X-Request-Id", "#"),
    (&[Header], "ETag", "\"@\""),
    (&[Header], "X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (&[Header], "X-RateLimit-Limit", "5000"),
    (&[Header], "WWW-Authenticate", "Bearer realm=\"example\""),
    (&[Query], "pin", "1234"),
    (&[Member], "pins", "1234"),
    (&[Member], "monkey", "0123456789abcdef"),
    (&[Member], "turkey", "0123456789abcdef"),
    (&[Member], "author", "0123456789abcdef"),
    (&[Member], "assignee", "0123456789abcdef"),
    (&[Member], "passport", "C01X00T47"),
    (&[Member], "compass", "north-0123456789"),
    (&[Member], "bypass", "0123456789abcdef"),
    (&[Member], "spin", "0123456789"),
    (&[Member], "ssid", "Office-5GHz-0123"),
    (&[Member], "sid", "SM0123456789abcdef0123456789abcdef"),
    (&[Member], "design", "0123456789abcdef"),
    (&[Member], "secretary", "0123456789abcdef"),
    (&[Member], "keynote", "0123456789abcdef"),
    (&[Query], "from_date", "2026-01-02"),
    (&[Query], "expires", "2026-01-02"),
];

fn value(text: &str) -> String {
    let uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    text.replace('@', "q7Lx0PzR4vTn8KcWbY2mJd6HsF1gAe5U").replace('#', uuid)
}

fn encoded(text: &str) -> String {
    ::url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the messages that hold a value under a name in a location, and the same with the value redacted.
fn redactions(policy: &Policy, location: NameLocation, name: &str, value: &str) -> Vec<(String, String)> {
    match location {
        Header => vec![(value.to_owned(), header(policy, name, value))],
        Query => {
            let before = format!("https://h/?{}={}&b=1", encoded(name), encoded(value));
            let fragment = format!("https://h/#{}={}&b=1", encoded(name), encoded(value));
            [before, fragment].map(|before| (before.clone(), url(policy, &before))).into()
        }
        Form => {
            let pairs = format!("a=1&{}={}", encoded(name), encoded(value));
            let part = format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x--\r\n"
            );
            let forms = [("application/x-www-form-urlencoded", pairs), ("multipart/form-data; boundary=x", part)];
            forms.map(|(media, before)| (before.clone(), payload(policy, media, &before))).into()
        }
        Member => {
            let member = serde_json::json!({ "a": [{ name: value }] }).to_string();
            let list = serde_json::json!({ name: [value] }).to_string();
            let torn = member[..member.len() - 3].to_owned();
            let mut texts = vec![member, list, torn];
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.bytes().all(is_name) && !name.starts_with('2') && !value.contains('"') {
                let document = format!("mutation {{ a(x: 1, {name}: \"{value}\") {{ b }} }}");
                texts.push(serde_json::json!({ "query": document }).to_string());
            }
            texts.into_iter().map(|before| (before.clone(), json(policy, &before))).collect()
        }
    }
}

fn check(corpus: &[(&[NameLocation], &str, &str)], is_secret: bool) {
    let policy = Policy::default();
    let mut wrong = Vec::new();
    for (locations, name, text) in corpus {
        for &location in *locations {
            let value = value(text);
            for (before, after) in redactions(&policy, location, name, &value) {
                let is_kept = value.len() > 5 && [&value, &encoded(&value)].iter().any(|kept| after.contains(&***kept));
                if (before != after) != is_secret || is_secret && is_kept {
                    wrong.push(format!("{location:?} {name}: {after}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn secrets_of_the_corpus_are_redacted_in_each_location() {
    assert!(SECRETS.len() >= 150, "{}", SECRETS.len());
    check(SECRETS, true);
}

#[test]
fn harmless_values_of_the_corpus_are_not_redacted_in_any_location() {
    assert!(HARMLESS.len() >= 100, "{}", HARMLESS.len());
    check(HARMLESS, false);
}

#[test]
fn times_and_policies_beside_a_signature_are_redacted() {
    let policy = Policy::default();
    let signature = value("@");
    for name in ["Expires", "expires", "Timestamp", "oauth_timestamp", "Policy", "se", "st"] {
        let signed = format!("https://h/?{name}=1767225600&Signature={signature}&Key-Pair-Id=K2JCJMDEHXQW5F");
        let left = url(&policy, &signed);
        assert!(!left.contains("1767225600") && left.contains("Id=K2JCJMDEHXQW5F"), "{left}");
        let plain = format!("https://h/?{name}=1767225600&page=2");
        assert_eq!(url(&policy, &plain), plain);
    }
}

#[test]
fn spellings_of_a_name_have_one_class() {
    for words in ["access token", "api key", "session id", "new password", "client secret", "id token", "csrf token"] {
        let title = |word: &str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.split(' ').map(title).collect();
        let spellings = [
            words.replace(' ', "_"),
            words.replace(' ', "-"),
            words.replace(' ', "."),
            words.replace(' ', ""),
            words.replace(' ', "_").to_uppercase(),
            format!("user[{}]", words.replace(' ', "_")),
            format!("{}[]", words.replace(' ', "_")),
            format!("X-{}", words.replace(' ', "-")),
            pascal[..1].to_lowercase() + &pascal[1..],
            pascal,
        ];
        let policy = Policy::default();
        for location in [Header, Query, Form, Member] {
            let class = policy.classify(location, spellings[0].as_bytes());
            assert_ne!(class, NameClass::Public, "{words}");
            for spelling in &spellings {
                assert_eq!(policy.classify(location, spelling.as_bytes()), class, "{location:?} {spelling}");
            }
        }
    }
}
