//! HTTP/2, frame by frame: how a server ends a request without an answer.

use super::{tls::Ca, *};
use crate::core::protocol::reply::NotSent;
use rstest::rstest;
use std::{collections::VecDeque, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Frame types, then flags, by RFC 9113.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Error codes, by RFC 9113.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// What a server sends for a request.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// HTTP 200, with `{}`.
    Ok,
    /// HTTP 200 with only a part of the body.
    Head,
    /// GOAWAY, with the last stream that is answered and an error code.
    GoAway(u32, u32),
    /// `RST_STREAM` for the request's stream, with an error code.
    Reset(u32),
    /// A frame that the protocol forbids.
    Nonsense,
    /// Closes the connection.
    Close,
}

#[derive(Clone, Default, Debug)]
struct Traffic {
    connections: usize,
    /// The stream of each request.
    requests: Vec<u32>,
}

struct Server {
    ca: Ca,
    address: SocketAddr,
    traffic: watch::Receiver<Traffic>,
}

type Script = Arc<Mutex<VecDeque<Vec<Frame>>>>;

impl Server {
    /// Starts a server that answers each request with the next element of `script`, and later requests not at
    /// all.
    async fn start(script: impl IntoIterator<Item = Vec<Frame>>) -> Self {
        let ca = Ca::new();
        let acceptor = ca.acceptor(&["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (sender, traffic) = watch::channel(Traffic::default());
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        tokio::spawn(async move {
            let sender = Arc::new(sender);
            while let Ok((stream, _)) = listener.accept().await {
                sender.send_modify(|traffic| traffic.connections += 1);
                let (acceptor, script, sender) = (acceptor.clone(), script.clone(), sender.clone());
                tokio::spawn(async move {
                    // An error is expected: the client may close the connection.
                    let _ = serve(acceptor, stream, script, sender).await;
                });
            }
        });
        Self {
            ca,
            address,
            traffic,
        }
    }

    fn cognito(&self, timeouts: Timeouts) -> AwsCognito {
        let http = http::client(self.ca.roots(), http::IDLE_MAX);
        let url = format!("https://{}", self.address);
        let config = sdk_config(&url).into_builder().http_client(http).build();
        with(numbered_identity().0, config, timeouts)
    }

    fn traffic(&self) -> Traffic {
        self.traffic.borrow().clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    script: Script,
    sender: Arc<watch::Sender<Traffic>>,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    stream.read_exact(&mut [0; 24]).await?;
    write(&mut stream, SETTINGS, 0, 0, &[]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits")];
        stream.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if kind == SETTINGS && flags & ACK == 0 {
            write(&mut stream, SETTINGS, ACK, 0, &[]).await?;
        }
        if !matches!(kind, DATA | HEADERS) || flags & END_STREAM == 0 {
            continue;
        }
        let frames = script.lock().expect("no test panics in here").pop_front();
        sender.send_modify(|traffic| traffic.requests.push(id));
        for frame in frames.into_iter().flatten() {
            // HPACK: indexed field 8 of the static table, which is `:status: 200`.
            let ok = [0x88];
            match frame {
                Frame::Ok => {
                    write(&mut stream, HEADERS, END_HEADERS, id, &ok).await?;
                    write(&mut stream, DATA, END_STREAM, id, b"{}").await?;
                }
                Frame::Head => {
                    write(&mut stream, HEADERS, END_HEADERS, id, &ok).await?;
                    write(&mut stream, DATA, 0, id, b"{").await?;
                }
                Frame::GoAway(last, why) => {
                    let payload = [last.to_be_bytes(), why.to_be_bytes()].concat();
                    write(&mut stream, GOAWAY, 0, 0, &payload).await?;
                }
                Frame::Reset(why) => {
                    write(&mut stream, RST_STREAM, 0, id, &why.to_be_bytes()).await?;
                }
                Frame::Nonsense => write(&mut stream, DATA, 0, 0, b"of no stream").await?,
                Frame::Close => return stream.shutdown().await,
            }
        }
    }
}

async fn write(
    stream: &mut TlsStream<TcpStream>,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

fn kind_of(reply: &Reply) -> &'static str {
    match reply {
        Reply::Success { .. } => "applied",
        Reply::NotSent {
            cause: NotSent::Unprocessed,
            ..
        } => "unprocessed",
        Reply::NotSent { .. } => "not sent",
        Reply::NoReply { .. } => "no reply",
        Reply::ServiceError(_) => "an error",
    }
}

/// The first request of a connection has stream 1.
#[rstest]
#[case::earlier(vec![Frame::GoAway(0, NO_ERROR)], "unprocessed")]
#[case::earlier_and_closed(vec![Frame::GoAway(0, NO_ERROR), Frame::Close], "unprocessed")]
#[case::earlier_in_trouble(vec![Frame::GoAway(0, INTERNAL_ERROR), Frame::Close], "unprocessed")]
#[case::announced(vec![Frame::GoAway(0x7fff_ffff, NO_ERROR), Frame::GoAway(0, NO_ERROR)], "unprocessed")]
#[case::refused(vec![Frame::Reset(REFUSED_STREAM)], "unprocessed")]
#[case::this_one(vec![Frame::GoAway(1, NO_ERROR), Frame::Close], "no reply")]
#[case::this_one_in_trouble(vec![Frame::GoAway(1, INTERNAL_ERROR), Frame::Close], "no reply")]
#[case::any(vec![Frame::GoAway(0x7fff_ffff, NO_ERROR), Frame::Close], "no reply")]
#[case::cancelled(vec![Frame::Reset(CANCEL)], "no reply")]
#[case::broken(vec![Frame::Reset(INTERNAL_ERROR)], "no reply")]
#[case::ended_without_trouble(vec![Frame::Reset(NO_ERROR)], "no reply")]
#[case::closed(vec![Frame::Close], "no reply")]
#[case::nonsense(vec![Frame::Nonsense], "no reply")]
#[case::refused_within_the_reply(vec![Frame::Head, Frame::Reset(REFUSED_STREAM)], "no reply")]
#[case::gone_within_the_reply(vec![Frame::Head, Frame::GoAway(0, NO_ERROR)], "no reply")]
#[case::answered_all_the_same(vec![Frame::GoAway(1, NO_ERROR), Frame::Ok], "applied")]
#[tokio::test]
async fn only_a_request_that_the_server_reports_as_unprocessed_is_not_sent(
    #[case] frames: Vec<Frame>,
    #[case] wanted: &str,
) {
    let server = Server::start([frames, vec![Frame::Ok]]).await;
    let cognito = server.cognito(LONG_TIMEOUTS);
    let reply = set(&cognito).await;
    assert_eq!(kind_of(&reply), wanted, "{reply:?}");
    assert_eq!(server.traffic().requests, [1], "nothing is sent twice");
    let next = set(&cognito).await;
    assert_eq!(kind_of(&next), "applied", "{next:?}");
}

/// The second request of a connection has stream 3.
#[rstest]
#[case(1, "unprocessed")]
#[case(3, "no reply")]
#[tokio::test]
async fn a_goaway_leaves_streams_after_its_last_stream_unprocessed(
    #[case] last: u32,
    #[case] wanted: &str,
) {
    let gone = vec![Frame::GoAway(last, NO_ERROR), Frame::Close];
    let server = Server::start([vec![Frame::Ok], gone, vec![Frame::Ok]]).await;
    let cognito = server.cognito(LONG_TIMEOUTS);
    for wanted in ["applied", wanted, "applied"] {
        let reply = set(&cognito).await;
        assert_eq!(kind_of(&reply), wanted, "{reply:?}");
    }
    assert_eq!(server.traffic().requests, [1, 3, 1]);
    assert_eq!(server.traffic().connections, 2);
}

/// All calls share one connection, so a silent connection must not stay in use.
#[tokio::test]
async fn a_connection_without_a_reply_is_not_used_again() {
    let server = Server::start([vec![Frame::Ok], vec![], vec![Frame::Ok]]).await;
    let cognito = server.cognito(SHORT_TIMEOUTS);
    for wanted in ["applied", "no reply", "applied"] {
        let reply = set(&cognito).await;
        assert_eq!(kind_of(&reply), wanted, "{reply:?}");
    }
    assert_eq!(server.traffic().connections, 2);
}

#[tokio::test]
async fn calls_share_a_connection() {
    let server = Server::start((0..5).map(|_| vec![Frame::Ok])).await;
    let cognito = server.cognito(LONG_TIMEOUTS);
    for _ in 0..5 {
        assert_eq!(kind_of(&set(&cognito).await), "applied");
    }
    assert_eq!(server.traffic().requests, [1, 3, 5, 7, 9]);
    assert_eq!(server.traffic().connections, 1);
}
