use super::*;

fn io(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

#[test]
fn causes_have_no_repetition_and_no_error_numbers() {
    let source = io::Error::from_raw_os_error(2);
    let error = harproxy_har::Error::Io { doing: "reading", path: "a.har".into(), source };
    let failure = Failure::from(record::Error::from(error));
    assert_eq!(failure.to_string(), "reading a.har");
    assert_eq!(causes(&failure), ["no such file or directory"]);
}

#[test]
fn failures_have_the_documented_exit_statuses() {
    let addr = ([127, 0, 0, 1], 1).into();
    let malformed = || harproxy_har::Error::Malformed { path: "a".into(), line: None, reason: String::new() };
    let read =
        || harproxy_har::Error::Io { doing: "reading", path: "a".into(), source: io(io::ErrorKind::PermissionDenied) };
    for (failure, status) in [
        (Failure::from(UsageError::new("a", "b")), 2),
        (harproxy_har::Error::NoFixture { path: "a".into() }.into(), 2),
        (malformed().into(), 2),
        (read().into(), 2),
        (
            harproxy_har::Error::Io {
                doing: "renaming into",
                path: "a".into(),
                source: io(io::ErrorKind::StorageFull),
            }
            .into(),
            3,
        ),
        (replay::Error::Fixture(read()).into(), 2),
        (record::Error::Fixture(malformed()).into(), 2),
        (record::Error::Fixture(read()).into(), 3),
        (record::Error::Locked { output: "a".into(), recorder: None }.into(), 3),
        (PlanError { what: String::new(), reason: String::new() }.into(), 2),
        (BindError::Listen { addr, source: io(io::ErrorKind::AddrInUse) }.into(), 3),
        (Failure::Write { path: "a".into(), source: io(io::ErrorKind::StorageFull) }, 3),
        (SpawnError::NotFound { program: "a".into() }.into(), 127),
        (SpawnError::NotExecutable { program: "a".into(), source: io(io::ErrorKind::PermissionDenied) }.into(), 126),
        (Failure::cut(130), 130),
    ] {
        assert_eq!(failure.status(), status, "{failure}");
        assert!(!failure.hint().is_empty());
    }
}

#[test]
fn hints_contain_commands_to_run() {
    let missing = |path: &str| {
        let source = io(io::ErrorKind::NotFound);
        Failure::from(replay::Error::Fixture(harproxy_har::Error::Io { doing: "reading", path: path.into(), source }))
            .hint()
    };
    assert!(missing("hars").contains("`harproxy record -- CMD`"), "{}", missing("hars"));
    assert!(missing("my hars/a.har").contains("-o 'my hars/a.har'"), "{}", missing("my hars/a.har"));
    let bind = |kind| {
        let addr = ([127, 0, 0, 1], 8899).into();
        Failure::from(BindError::Listen { addr, source: io(kind) }).hint()
    };
    assert!(bind(io::ErrorKind::AddrInUse).contains("`-p 0`"));
    assert!(bind(io::ErrorKind::PermissionDenied).contains("1024"));
    let torn = harproxy_har::Error::Payload { doing: "reading the journal", source: io(io::ErrorKind::InvalidData) };
    assert!(Failure::from(record::Error::Fixture(torn)).hint().contains("`harproxy recover FILE --discard`"));
    let exposed = AuthorityError::Exposed { path: "/d/ca key.pem".into(), mode: 0o644 };
    assert!(Failure::from(exposed).hint().contains("`chmod 600 '/d/ca key.pem'`"));
}
