//! `POST /sessions`: a client names the test that it runs.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::pipeline::{NameError, Sessions};
use harproxy_http::problem::{Problem, in_words};

/// The payload of `POST /sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSession {
    /// The user name in the proxy URL of the client.
    client: Option<String>,
    name: Option<String>,
}

/// Begins the session, or ends it if it has no name. `user` is the user name of `--auth`.
///
/// # Errors
/// A problem document for the client.
pub fn name_session(sessions: &Sessions, named: &NamedSession, user: Option<&str>) -> Result<Value, Problem> {
    let client = session_of(named.client.as_deref().unwrap_or_default(), user);
    let refused =
        |status, error: &NameError| Problem::new(status, "the name of the session is refused", in_words(error));
    match sessions.begin(client, named.name.as_deref()) {
        Ok(()) => Ok(json!({ "client": client, "name": named.name })),
        Err(error @ NameError::Taken) => Err(refused(409, &error)),
        Err(error) => Err(refused(400, &error)),
    }
}

/// Returns the session that a user name selects: with `--auth` the part behind `USER+`.
fn session_of<'c>(client: &'c str, user: Option<&str>) -> &'c str {
    let Some(user) = user else { return client };
    let behind = client.strip_prefix(user).filter(|rest| rest.is_empty() || rest.starts_with('+'));
    behind.map_or(client, |rest| rest.trim_start_matches('+'))
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn session_follows_the_user_name_of_auth() {
        for (client, user, session) in [
            ("gw0", None, "gw0"),
            ("me+gw0", None, "me+gw0"),
            ("me+gw0", Some("me"), "gw0"),
            ("me", Some("me"), ""),
            ("gw0", Some("me"), "gw0"),
            ("mean", Some("me"), "mean"),
            ("", Some("me"), ""),
        ] {
            assert_eq!(session_of(client, user), session, "{client} {user:?}");
        }
    }
}
