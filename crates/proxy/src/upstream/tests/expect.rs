use tokio::sync::oneshot;

use super::*;

/// A body that tells when it is first asked for data.
struct Asked {
    inner: Full<Bytes>,
    asked: Option<oneshot::Sender<()>>,
}

fn asked(text: &'static str) -> (Asked, oneshot::Receiver<()>) {
    let (tell, told) = oneshot::channel();
    (Asked { inner: Full::new(Bytes::from(text)), asked: Some(tell) }, told)
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if let Some(asked) = self.asked.take() {
            let _ = asked.send(());
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

fn put(way: &Way, body: Asked) -> Request<Asked> {
    way.request("PUT", "/").header("content-length", "4").header("expect", "100-continue").body(body).unwrap()
}

#[tokio::test]
async fn the_upload_waits_for_upstreams_100() {
    let (head_there, mut wait) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = oneshot::channel::<()>();
    let gate = Arc::new(Mutex::new(Some(gate)));
    let addr = scripted(move |mut stream, _| {
        let (head_there, gate) = (head_there.clone(), gate.clone());
        async move {
            let head = read_head(&mut stream).await.unwrap();
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            head_there.send(()).unwrap();
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
    let way = Way::plain(addr);
    let (body, mut asked) = asked("data");
    let watch = async {
        wait.recv().await.unwrap();
        assert!(asked.try_recv().is_err(), "the client was not asked for its body");
        go.send(()).unwrap();
        asked.await.unwrap();
    };
    let (answer, ()) = tokio::join!(way.send(put(&way, body)), watch);
    let got = Got::read(answer.unwrap()).await;
    assert_eq!(text(&got), "data");
    assert_eq!(got.informational.len(), 1);
    assert_eq!((got.informational[0].0.as_u16(), &got.informational[0].1["x"]), (100, &"y".parse().unwrap()));
    assert!(way.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn a_final_answer_ends_the_upload_and_its_connection() {
    for answer in [
        "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (gone, closed) = oneshot::channel();
        let gone = Arc::new(Mutex::new(Some(gone)));
        let addr = scripted(move |mut stream, number| {
            let gone = gone.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                if number == 0 {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    gone.lock().unwrap().take().unwrap().send(rest).unwrap();
                }
            }
        })
        .await;
        let way = Way::plain(addr);
        let (body, asked) = asked("data");
        let got = Got::read(way.send(put(&way, body)).await.unwrap()).await;
        got.body.unwrap();
        assert!(asked.await.is_err(), "the body was dropped, unasked");
        assert!(closed.await.unwrap().is_empty(), "and upstream got nothing of it");
        assert_eq!(way.get("/").await.unwrap().connection, 2);
    }
}

#[tokio::test]
async fn the_upload_begins_when_upstream_says_nothing() {
    let addr = scripted(|mut stream, _| async move {
        let request = read_request(&mut stream).await.unwrap();
        assert!(request.ends_with("\r\n\r\ndata"), "{request}");
        stream.write_all(OK.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let way = Way::plain(addr);
    let (body, _asked) = asked("data");
    let got = Got::read(way.send(put(&way, body)).await.unwrap()).await;
    assert_eq!(text(&got), "ok");
    assert!(way.get("/").await.unwrap().reused);
}
