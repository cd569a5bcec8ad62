//! `kill -9` under load: each client logs the exchanges that it saw complete, and the fixture must hold all of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use harproxy_har::Fixture;
use http::Request;
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::dice::{Dice, dawdle, fate, say};
use crate::support::client::{Client, Proto};
use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::Sandbox;

type Upload = BoxBody<Bytes, Infallible>;
type Wrong = Box<dyn std::error::Error + Send + Sync>;

/// An exchange that a client saw complete.
#[derive(Clone, Debug)]
struct SeenExchange {
    method: &'static str,
    url: String,
    status: u16,
    sent: [u8; 32],
    body: [u8; 32],
}

/// The state that the clients of one round share.
struct Clients {
    log: Mutex<Vec<SeenExchange>>,
    /// The number of complete exchanges.
    done: AtomicU64,
    /// The number of complete exchanges at which harproxy is killed.
    fatal: u64,
    pid: Pid,
    dawdle: u64,
}

/// A connection to the origin through the proxy.
enum Sender {
    H1(http1::SendRequest<Upload>),
    H2(http2::SendRequest<Upload>),
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A text of this length that depends on `name`.
fn text(name: &str, len: usize) -> Vec<u8> {
    let line = format!("a line of {name}\n");
    line.bytes().cycle().take(len).collect()
}

/// Answers with a payload of the requested length, with trailers and chunked if requested.
fn answer(asked: &OriginRequest) -> Option<OriginResponse> {
    let (path, query) = asked.path.split_once('?')?;
    let len = query.split('&').find_map(|pair| pair.strip_prefix("len=")?.parse().ok())?;
    let trailers = if path == "/api/trailing" { vec![("x-end", "here")] } else { Vec::new() };
    let headers = vec![("content-type", "text/plain".to_owned())];
    ["/api/long", "/api/trailing", "/api/upload"].contains(&path).then(|| OriginResponse {
        status: 200,
        headers,
        body: text(query, len),
        trailers,
    })
}

impl Clients {
    /// Sends one request and logs it when its response is complete.
    async fn send(&self, sender: &mut Sender, base: &str, dice: &mut Dice, name: &str) -> Result<(), Wrong> {
        let len = [0, 1, 700, 70_000, 400_000][usize::try_from(dice.below(5)).unwrap()];
        let (method, path) = [
            ("GET", format!("/api/long?len={len}&n={name}")),
            ("GET", format!("/api/long?len={len}&n={name}")),
            ("GET", format!("/api/trailing?len={len}&n={name}")),
            ("HEAD", format!("/api/long?len={len}&n={name}")),
            ("GET", format!("/api/no-content?n={name}")),
            ("GET", format!("/api/not-modified?n={name}")),
            ("GET", format!("/api/chunked?n={name}")),
            ("GET", format!("/api/gzip?n={name}")),
            ("POST", format!("/api/upload?len=9&n={name}")),
            ("PUT", format!("/api/upload?len={len}&n={name}")),
        ][usize::try_from(dice.below(10)).unwrap()]
        .clone();
        let url = format!("{base}{path}");
        let sent = if method.starts_with('P') { text(&format!("upload {name}"), len) } else { Vec::new() };
        let sent_digest = digest(&sent);
        let mut request = Request::builder().method(method);
        request = match sender {
            Sender::H1(_) if base.starts_with("https") => request.uri(&path).header("host", "api.test"),
            Sender::H1(_) => request.uri(&url).header("host", "api.test"),
            Sender::H2(_) => request.uri(&url),
        };
        let request = request.header("te", "trailers").body(upload(sent, dice.below(2) == 0))?;
        let response = match sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::H2(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = match head.headers.contains_key("content-encoding") {
            true => {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain)?;
                digest(&plain)
            }
            false => digest(&body),
        };
        let done = SeenExchange { method, url, status: head.status.as_u16(), sent: sent_digest, body };
        self.log.lock().unwrap().push(done);
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.fatal {
            self.kill();
        }
        Ok(())
    }

    fn kill(&self) {
        dawdle(self.dawdle);
        kill(self.pid, Signal::SIGKILL).unwrap();
    }
}

fn upload(sent: Vec<u8>, in_chunks: bool) -> Upload {
    if sent.is_empty() || !in_chunks {
        return Full::new(Bytes::from(sent)).boxed();
    }
    let pieces: Vec<_> =
        sent.chunks(30_000).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect::<Vec<_>>();
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(pieces)))
}

/// Connects a client through the proxy.
async fn connect(client: &Client, secure: bool) -> Result<Sender, Wrong> {
    let tcp = TcpStream::connect(client.proxy).await?;
    if !secure {
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        return Ok(Sender::H1(sender));
    }
    let url = "https://api.test/".parse()?;
    let tls = TokioIo::new(client.tls(client.tunnel(tcp, &url).await?, &url).await?);
    Ok(match client.proto {
        Proto::H1 => {
            let (sender, connection) = http1::handshake(tls).await?;
            tokio::spawn(connection);
            Sender::H1(sender)
        }
        Proto::H2 => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), tls).await?;
            tokio::spawn(connection);
            Sender::H2(sender)
        }
    })
}

/// Runs clients of every kind until the recording is killed. Returns the exchanges that they saw complete.
fn work_until_killed(
    sandbox: &Sandbox,
    origin: &Origin,
    output: &str,
    dice: &mut Dice,
    tag: &str,
) -> Vec<SeenExchange> {
    let server = sandbox.start(["record".to_owned(), "-o".into(), output.into()].into_iter().chain(origin.args()));
    let clients = Arc::new(Clients {
        log: Mutex::default(),
        done: AtomicU64::new(0),
        fatal: dice.below(50),
        pid: Pid::from_raw(i32::try_from(server.pid()).unwrap()),
        dawdle: dice.below(200_000),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut at_work = JoinSet::new();
        for n in 0..6 {
            let client = Client::new(server.proxy(), server.ca(), if n < 4 { Proto::H1 } else { Proto::H2 });
            let (clients, mut dice, tag) = (clients.clone(), Dice::of(dice.roll()), tag.to_owned());
            at_work.spawn(async move {
                let secure = n >= 2;
                let base = if secure { "https://api.test" } else { "http://api.test" };
                let Ok(mut sender) = connect(&client, secure).await else { return };
                let mut streams = JoinSet::new();
                if let Sender::H2(sender) = &sender {
                    for stream in 0..3 {
                        let mut sender = Sender::H2(sender.clone());
                        let (clients, mut dice, tag) = (clients.clone(), Dice::of(dice.roll()), tag.clone());
                        streams.spawn(async move {
                            for turn in 0.. {
                                let name = format!("{tag}-{n}-{stream}-{turn}");
                                if clients.send(&mut sender, base, &mut dice, &name).await.is_err() {
                                    break;
                                }
                            }
                        });
                    }
                }
                for turn in 0.. {
                    let name = format!("{tag}-{n}-{turn}");
                    if clients.send(&mut sender, base, &mut dice, &name).await.is_err() {
                        break;
                    }
                }
                streams.join_all().await;
            });
        }
        if clients.fatal == 0 {
            tokio::task::spawn_blocking({
                let clients = clients.clone();
                move || clients.kill()
            });
        }
        at_work.join_all().await;
    });
    assert_eq!(server.wait().status, 128 + Signal::SIGKILL as i32);
    clients.log.lock().unwrap().clone()
}

/// The parts of an entry that a client can see.
struct StoredExchange {
    status: i32,
    sent: [u8; 32],
    body: Vec<u8>,
    cut: bool,
}

fn kept(fixture: &Fixture) -> HashMap<(String, String), StoredExchange> {
    let entry = |at: usize| {
        let entry = fixture.entry(at).unwrap();
        let bytes = |body| fixture.payload(at, body).unwrap().bytes().unwrap().to_vec();
        let sent = digest(&entry.request.post_data.as_ref().map(bytes).unwrap_or_default());
        let body = bytes(&entry.response.content);
        let cut = entry.response.content.truncated.is_some();
        (
            (entry.request.method.clone(), entry.request.url.clone()),
            StoredExchange { status: entry.response.status, sent, body, cut },
        )
    };
    let all: HashMap<_, _> = (0..fixture.entries()).map(entry).collect();
    assert_eq!(all.len(), fixture.entries(), "an exchange is there twice");
    all
}

/// Compares a fixture with the clients' log. Returns the number of other exchanges, and how many of those are
/// truncated.
fn judge(sandbox: &Sandbox, output: &str, log: &[SeenExchange], told: &str) -> (usize, usize) {
    if !sandbox.join(output).exists() {
        assert!(log.is_empty(), "{told}: no fixture, and {} exchanges were seen", log.len());
        return (0, 0);
    }
    let mut kept = kept(&Fixture::open(&sandbox.join(output)).unwrap());
    for done in log {
        let key = (done.method.to_owned(), done.url.clone());
        let Some(found) = kept.remove(&key) else { panic!("{told}: {} {} is lost", done.method, done.url) };
        let whole = found.status == i32::from(done.status) && digest(&found.body) == done.body;
        assert!(whole && found.sent == done.sent && !found.cut, "{told}: {} {} differs", done.method, done.url);
    }
    for ((method, url), StoredExchange { body, cut, .. }) in &kept {
        // An exchange that no client saw complete holds the beginning of its response, and is marked if that is not
        // all.
        let Some((_, query)) = url.split_once('?').filter(|(path, _)| path.contains("/api/long")) else { continue };
        let len = query.split('&').find_map(|pair| pair.strip_prefix("len=")).unwrap().parse().unwrap();
        let whole = if method == "HEAD" { Vec::new() } else { text(query, len) };
        assert!(if *cut { whole.starts_with(body) } else { whole == *body }, "{told}: {method} {url} was torn");
    }
    (kept.len(), kept.values().filter(|kept| kept.cut).count())
}

/// Checks that replay serves the logged exchanges.
fn serves(sandbox: &Sandbox, output: &str, log: &[SeenExchange], dice: &mut Dice, told: &str) {
    let replay = sandbox.start(["replay", output]);
    let client = replay.client(Proto::H1);
    for _ in 0..3 {
        let done = &log[usize::try_from(dice.below(log.len() as u64)).unwrap()];
        if done.method == "GET" {
            let got = client.get(&done.url);
            assert_eq!((got.status, digest(&got.decoded())), (done.status, done.body), "{told}: {}", done.url);
        }
    }
    replay.stop();
}

fn hidden(sandbox: &Sandbox) -> Vec<String> {
    let items = std::fs::read_dir(sandbox.join("hars")).into_iter().flatten().flatten();
    items.map(|item| item.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
}

#[test]
fn kill_under_load_loses_no_exchange_that_a_client_saw_complete() {
    let (seed, kills) = fate(24);
    let origin = Origin::answering(answer);
    let (mut seen, mut beside, mut cut) = (0, 0, 0);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        (killed, round) = (killed + 1, round + 1);
        let told = format!("HARPROXY_SEED={seed} HARPROXY_KILLS={kills}, kill {killed}");
        let mut dice = Dice::of(seed ^ (killed << 32));
        let sandbox = Sandbox::new();
        let output = if round % 4 == 3 { "hars/a.zip" } else { "hars/a.har" };
        let mut log = work_until_killed(&sandbox, &origin, output, &mut dice, "first");
        match round % 3 {
            0 => drop(sandbox.run(["recover", output]).expect(0)),
            // The next recording takes the killed one over, and is killed too.
            1 => {
                killed += 1;
                log.extend(work_until_killed(&sandbox, &origin, output, &mut dice, "second"));
                let recovered = sandbox.run(["recover", output]).expect(0);
                assert!(log.is_empty() || recovered.stderr.contains("recovered") || sandbox.join(output).exists());
            }
            _ => {
                let next = sandbox.run(["record", "-o", output, "--", "true"]).expect(1);
                assert!(log.is_empty() || next.stderr.contains("recovered"), "{told}: {}", next.stderr);
            }
        }
        let (more, torn) = judge(&sandbox, output, &log, &told);
        if !log.is_empty() && round % 5 == 0 {
            serves(&sandbox, output, &log, &mut dice, &told);
        }
        assert_eq!(hidden(&sandbox), [""; 0], "{told}");
        (seen, beside, cut) = (seen + log.len(), beside + more, cut + torn);
    }
    say(&format!("{kills} kills: {seen} exchanges seen complete, all kept; {beside} others, {cut} of them cut off"));
    assert!(seen as u64 > kills && beside > 0, "the kills came too early, or none in the middle of anything");
}
