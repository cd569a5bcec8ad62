use tokio::sync::oneshot;

use super::*;

/// A body that reports its first poll.
struct PolledBody {
    inner: Full<Bytes>,
    polled: Option<oneshot::Sender<()>>,
}

fn polled_body(text: &'static str) -> (PolledBody, oneshot::Receiver<()>) {
    let (polled, is_polled) = oneshot::channel();
    (PolledBody { inner: Full::new(Bytes::from(text)), polled: Some(polled) }, is_polled)
}

impl http_body::Body for PolledBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if let Some(polled) = self.polled.take() {
            let _ = polled.send(());
        }
        std::pin::Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

fn put(client: &TestClient, body: PolledBody) -> Request<PolledBody> {
    client.request("PUT", "/").header("content-length", "4").header("expect", "100-continue").body(body).unwrap()
}

#[tokio::test]
async fn upload_waits_for_100_continue() {
    let (head_read, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = oneshot::channel::<()>();
    let gate = Arc::new(Mutex::new(Some(gate)));
    let addr = scripted(move |mut stream, _| {
        let (head_read, gate) = (head_read.clone(), gate.clone());
        async move {
            let head = read_head(&mut stream).await.unwrap();
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            head_read.send(()).unwrap();
            let gate = gate.lock().unwrap().take().unwrap();
            let _ = gate.await;
            stream.write_all(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n").await.unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await.unwrap();
            stream.write_all(&body).await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let client = TestClient::plain(addr);
    let (body, mut polled) = polled_body("data");
    let origin = async {
        heads.recv().await.unwrap();
        assert!(polled.try_recv().is_err(), "the body is not polled before 100");
        go.send(()).unwrap();
        polled.await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.send(put(&client, body)), origin);
    let got = ReadAnswer::read(answer.unwrap()).await;
    assert_eq!(text(&got), "data");
    assert_eq!(got.informational.len(), 1);
    assert_eq!((got.informational[0].0.as_u16(), &got.informational[0].1["x"]), (100, &"y".parse().unwrap()));
    assert!(client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn final_answer_ends_the_upload_and_closes_the_connection() {
    for answer in [
        "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (closed, rest) = oneshot::channel();
        let closed = Arc::new(Mutex::new(Some(closed)));
        let addr = scripted(move |mut stream, number| {
            let closed = closed.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                if number == 0 {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    closed.lock().unwrap().take().unwrap().send(rest).unwrap();
                }
            }
        })
        .await;
        let client = TestClient::plain(addr);
        let (body, polled) = polled_body("data");
        let got = ReadAnswer::read(client.send(put(&client, body)).await.unwrap()).await;
        got.body.unwrap();
        assert!(polled.await.is_err(), "the body was dropped without a poll");
        assert!(rest.await.unwrap().is_empty(), "upstream received no body");
        assert_eq!(client.get("/").await.unwrap().connection, 2);
    }
}

#[tokio::test]
async fn upload_starts_after_a_timeout_without_100_continue() {
    let addr = scripted(|mut stream, _| async move {
        let request = read_request(&mut stream).await.unwrap();
        assert!(request.ends_with("\r\n\r\ndata"), "{request}");
        stream.write_all(OK.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let client = TestClient::plain(addr);
    let (body, _polled) = polled_body("data");
    let got = ReadAnswer::read(client.send(put(&client, body)).await.unwrap()).await;
    assert_eq!(text(&got), "ok");
    assert!(client.get("/").await.unwrap().reused);
}
