//! The table of shapes: the prefixes, alphabets and lengths of tokens.
//!
//! Lengths are lower bounds where a vendor has changed them or may change them.

use crate::replace::jwt;

pub(super) struct Shape {
    /// The name for placeholders and for exceptions.
    pub(super) name: &'static str,
    /// Every match contains one of these texts.
    pub(super) prefixes: &'static [&'static str],
    /// The secret is the first group; the whole match if there is no group.
    pub(super) pattern: &'static str,
    pub(super) check: fn(&[u8]) -> bool,
}

const fn shape(name: &'static str, prefixes: &'static [&'static str], pattern: &'static str) -> Shape {
    Shape { name, prefixes, pattern, check: |_| true }
}

#[rustfmt::skip]
/// `SK` with each hexadecimal digit that may follow: a prefix of two letters would occur in too many texts.
const TWILIO: [&str; 16] = [
    "SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb", "SKc", "SKd", "SKe", "SKf",
];

/// All shapes. If several match in the same place, the first one names the secret.
pub(super) static TABLE: [Shape; 62] = [
    Shape { name: "jwt", prefixes: &["eyJ"], pattern: r"eyJ[\w-]+(?:\.[\w-]*){2,4}(?:~[\w.-]*)*", check: is_jose },
    shape("aws-access-key-id", &["AKIA", "ASIA", "ABIA", "ACCA"], r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    shape(
        "aws-secret-access-key",
        &["SECRET_ACCESS_KEY", "secret_access_key", "SecretAccessKey", "secretAccessKey"],
        r#"(?i:secret_?access_?key)(?:["'\\\s:=>]|%3D|&quot;){1,8}([0-9A-Za-z/+]{40})"#,
    ),
    shape(
        "aws-session-token",
        &["SESSION_TOKEN", "session_token", "SessionToken", "sessionToken"],
        r#"(?i:session_?token)(?:["'\\\s:=>]|%3D|&quot;){1,8}([0-9A-Za-z/+=]{100,})"#,
    ),
    shape("google-api-key", &["AIza"], r"AIza[0-9A-Za-z_-]{35}"),
    shape("google-access-token", &["ya29."], r"ya29\.[0-9A-Za-z_.-]*[0-9A-Za-z_-]{20,}"),
    shape("google-refresh-token", &["1//0"], r"1//0[0-9A-Za-z_-]{20,}"),
    shape("google-client-secret", &["GOCSPX-"], r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    shape("azure-account-key", &["AccountKey=", "AccessKey="], r"Acc(?:ount|ess)Key=([0-9A-Za-z+/]{30,}={0,2})"),
    shape("azure-client-secret", &["8Q~"], r"[0-9A-Za-z_~.-]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}"),
    shape("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[0-9A-Za-z]{20,}"),
    shape("github-token", &["github_pat_"], r"github_pat_[0-9A-Za-z_]{20,}"),
    shape(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt", "glft-", "gloas-", "glptt-", "glsoat-", "glimt-", "glcbt-", "glagent-"],
        r"gl(?:pat|dt|rt|rtr|ft|oas|ptt|soat|imt|cbt|agent)-[0-9A-Za-z_-]{16,}(?:\.[0-9a-z]+)*",
    ),
    shape("slack-token", &["xox", "xapp-"], r"(?:xox[abeoprs]|xapp)-[0-9A-Za-z.-]*[0-9A-Za-z-]{10,}"),
    shape(
        "slack-webhook",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([0-9A-Za-z_/+-]+)",
    ),
    shape("stripe-key", &["k_live_", "k_test_"], r"[sr]k_(?:live|test)_[0-9A-Za-z]{10,}"),
    shape("stripe-webhook-secret", &["whsec_"], r"whsec_[0-9A-Za-z+/]{20,}={0,2}"),
    shape("npm-token", &["npm_"], r"npm_[0-9A-Za-z]{30,}"),
    shape("pypi-token", &["pypi-AgE"], r"pypi-AgE[0-9A-Za-z_-]{20,}"),
    shape("anthropic-key", &["sk-ant-"], r"sk-ant-[0-9A-Za-z_-]{20,}"),
    Shape {
        name: "openai-key",
        prefixes: &["sk-"],
        pattern: r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-[0-9A-Za-z_-]{16,}|[0-9A-Za-z]{20,})",
        check: |key| key.iter().any(u8::is_ascii_digit) || key.starts_with(b"sk-proj-"),
    },
    shape("huggingface-token", &["hf_", "api_org_"], r"(?:hf|api_org)_[0-9A-Za-z]{30,}"),
    shape("groq-key", &["gsk_"], r"gsk_[0-9A-Za-z]{48,}"),
    shape("perplexity-key", &["pplx-"], r"pplx-[0-9A-Za-z]{40,}"),
    shape("replicate-token", &["r8_"], r"r8_[0-9A-Za-z]{37}"),
    shape("xai-key", &["xai-"], r"xai-[0-9A-Za-z]{70,}"),
    shape("sendgrid-key", &["SG."], r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{32,64}"),
    shape("twilio-key", &TWILIO, r"SK[0-9a-f]{32}"),
    shape("mailgun-key", &["key-"], r"key-[0-9a-f]{32}"),
    shape("discord-token", &["Bot "], r"Bot ([MNO][0-9A-Za-z_-]{23,27}\.[0-9A-Za-z_-]{6,7}\.[0-9A-Za-z_-]{27,40})"),
    shape("discord-token", &["mfa."], r"mfa\.[0-9A-Za-z_-]{80,}"),
    shape(
        "discord-webhook",
        &["discord.com/api", "discordapp.com/api"],
        r"discord(?:app)?\.com/api/(?:v[0-9]{1,2}/)?webhooks/[0-9]{15,21}/([0-9A-Za-z_-]{60,})",
    ),
    shape("telegram-token", &[":AA"], r"[0-9]{6,12}:(AA[0-9A-Za-z_-]{32,36})"),
    shape("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[opr]_v1_[0-9a-f]{64}"),
    shape("heroku-key", &["HRKU-"], r"HRKU-[0-9A-Za-z_-]{36,}"),
    shape("netlify-token", &["nfp_"], r"nfp_[0-9A-Za-z]{36,}"),
    shape("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_"], r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32,}"),
    shape("square-token", &["sq0atp-", "sq0csp-", "EAAA"], r"sq0(?:atp|csp)-[0-9A-Za-z_-]{22,}|EAAA[0-9A-Za-z_-]{60}"),
    shape("linear-key", &["lin_api_", "lin_oauth_"], r"lin_(?:api|oauth)_[0-9A-Za-z]{32,}"),
    shape("notion-token", &["ntn_", "secret_"], r"ntn_[0-9A-Za-z]{40,}|secret_[0-9A-Za-z]{43}"),
    shape("airtable-token", &["pat"], r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}"),
    shape("figma-token", &["figd_"], r"figd_[0-9A-Za-z_-]{36,}"),
    shape("postman-key", &["PMAK-"], r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    shape("databricks-token", &["dapi", "dose"], r"(?:dapi|dose)[0-9a-f]{32}(?:-[0-9]{1,2})?"),
    shape(
        "doppler-token",
        &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."],
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[0-9A-Za-z_-]{1,64}\.)?[0-9A-Za-z]{40,44}",
    ),
    shape("planetscale-token", &["pscale_"], r"pscale_(?:tkn|pw|oauth)_[0-9A-Za-z=._-]*[0-9A-Za-z_-]{32,}"),
    shape("supabase-key", &["sbp_", "sb_secret_"], r"sbp_[0-9A-Za-z_]{36,}|sb_secret_[0-9A-Za-z_-]{20,}"),
    shape("pulumi-token", &["pul-"], r"pul-[0-9a-f]{40}"),
    shape("vault-token", &["hvs.", "hvb.", "hvr."], r"hv[bsr]\.[0-9A-Za-z_-]{24,}"),
    shape("terraform-token", &[".atlasv1."], r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60,}"),
    shape("new-relic-key", &["NRAK-", "NRII-", "NRIQ-", "NRAL"], r"NR(?:AK|II|IQ)-[0-9A-Za-z_-]{24,}|[0-9a-z]{36}NRAL"),
    shape(
        "grafana-token",
        &["glc_", "glsa_", "eyJrIjoi"],
        r"glc_[0-9A-Za-z+/]{32,}={0,2}|glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8}|eyJrIjoi[0-9A-Za-z+/]{40,}={0,2}",
    ),
    shape("dynatrace-token", &["dt0c01.", "dt0s01."], r"dt0[cs]01\.[0-9A-Z]{8,24}\.[0-9A-Z]{64}"),
    shape("sentry-token", &["sntrys_", "sntryu_"], r"sntrys_eyJ[0-9A-Za-z+/=_-]{40,}|sntryu_[0-9a-f]{64}"),
    shape("atlassian-token", &["ATATT3", "ATCTT3", "ATBB"], r"AT[AC]TT3[0-9A-Za-z_=-]{60,}|ATBB[0-9A-Za-z]{32}"),
    shape("docker-token", &["dckr_pat_", "dckr_oat_"], r"dckr_[op]at_[0-9A-Za-z_-]{20,}"),
    shape("rubygems-key", &["rubygems_"], r"rubygems_[0-9a-f]{48}"),
    shape("age-key", &["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    Shape {
        name: "credentials",
        prefixes: &["uthorization", "UTHORIZATION"],
        pattern: r#"(?i:authorization(?:["'\\\s:=]|&quot;|%3A|%20){1,8}(?:bearer|basic|token|bot|apikey)(?:\s|%20|\+){1,4})([0-9A-Za-z._~+/-]{8,}=*)"#,
        check: is_opaque_token,
    },
    shape("session-id", &[";jsessionid=", ";JSESSIONID="], r"(?i:;jsessionid)=([0-9A-Za-z._!~-]{8,})"),
    shape(
        "private-key",
        &["PRIVATE KEY"],
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[0-9A-Za-z+/=\s:,.()\\]|-[^-])+(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"#,
    ),
    Shape {
        name: "userinfo",
        prefixes: &["://"],
        pattern: r#"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#"'<>\\`{}|^\[\]]+)@[^\s/?#@]"#,
        check: is_userinfo,
    },
];

/// Returns true if the text before the `@` of a URL is a credential. `git@` in URLs of repositories is none.
pub(crate) fn is_userinfo(userinfo: &[u8]) -> bool {
    userinfo != b"git"
}

/// Returns true if the first part of a token is a JOSE header (RFC 7515, RFC 7516).
fn is_jose(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next().and_then(|header| std::str::from_utf8(header).ok());
    header.and_then(jwt::parse_part).is_some_and(|header| header.contains_key("alg"))
}

/// Returns true if a text has letters and digits, as tokens do and words and names do not.
fn is_opaque_token(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit) && token.iter().any(u8::is_ascii_alphabetic)
}
