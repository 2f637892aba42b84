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
enum Say {
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
struct Seen {
    connections: usize,
    /// The stream of each request.
    requests: Vec<u32>,
}

struct Server {
    ca: Ca,
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
}

type Script = Arc<Mutex<VecDeque<Vec<Say>>>>;

impl Server {
    /// Starts a server that answers each request with the next element of `script`, and later requests not at
    /// all.
    async fn start(script: impl IntoIterator<Item = Vec<Say>>) -> Self {
        let ca = Ca::new();
        let acceptor = ca.acceptor(&["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (tell, seen) = watch::channel(Seen::default());
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        tokio::spawn(async move {
            let tell = Arc::new(tell);
            while let Ok((stream, _)) = listener.accept().await {
                tell.send_modify(|seen| seen.connections += 1);
                let (acceptor, script, tell) = (acceptor.clone(), script.clone(), tell.clone());
                tokio::spawn(async move {
                    // An error is expected: the client may close the connection.
                    let _ = serve(acceptor, stream, script, tell).await;
                });
            }
        });
        Self { ca, address, seen }
    }

    fn cognito(&self, timeouts: Timeouts) -> AwsCognito {
        let http = http::client(self.ca.roots(), http::IDLE_MAX);
        let url = format!("https://{}", self.address);
        let config = sdk_config(&url).into_builder().http_client(http).build();
        with(numbered_identity().0, config, timeouts)
    }

    fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    script: Script,
    tell: Arc<watch::Sender<Seen>>,
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
        let says = script.lock().expect("no test panics in here").pop_front();
        tell.send_modify(|seen| seen.requests.push(id));
        for say in says.into_iter().flatten() {
            // HPACK: indexed field 8 of the static table, which is `:status: 200`.
            let ok = [0x88];
            match say {
                Say::Ok => {
                    write(&mut stream, HEADERS, END_HEADERS, id, &ok).await?;
                    write(&mut stream, DATA, END_STREAM, id, b"{}").await?;
                }
                Say::Head => {
                    write(&mut stream, HEADERS, END_HEADERS, id, &ok).await?;
                    write(&mut stream, DATA, 0, id, b"{").await?;
                }
                Say::GoAway(last, why) => {
                    let payload = [last.to_be_bytes(), why.to_be_bytes()].concat();
                    write(&mut stream, GOAWAY, 0, 0, &payload).await?;
                }
                Say::Reset(why) => {
                    write(&mut stream, RST_STREAM, 0, id, &why.to_be_bytes()).await?;
                }
                Say::Nonsense => write(&mut stream, DATA, 0, 0, b"of no stream").await?,
                Say::Close => return stream.shutdown().await,
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

fn came(reply: &Reply) -> &'static str {
    match reply {
        Reply::Applied { .. } => "applied",
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
#[case::earlier(vec![Say::GoAway(0, NO_ERROR)], "unprocessed")]
#[case::earlier_and_closed(vec![Say::GoAway(0, NO_ERROR), Say::Close], "unprocessed")]
#[case::earlier_in_trouble(vec![Say::GoAway(0, INTERNAL_ERROR), Say::Close], "unprocessed")]
#[case::announced(vec![Say::GoAway(0x7fff_ffff, NO_ERROR), Say::GoAway(0, NO_ERROR)], "unprocessed")]
#[case::refused(vec![Say::Reset(REFUSED_STREAM)], "unprocessed")]
#[case::this_one(vec![Say::GoAway(1, NO_ERROR), Say::Close], "no reply")]
#[case::this_one_in_trouble(vec![Say::GoAway(1, INTERNAL_ERROR), Say::Close], "no reply")]
#[case::any(vec![Say::GoAway(0x7fff_ffff, NO_ERROR), Say::Close], "no reply")]
#[case::cancelled(vec![Say::Reset(CANCEL)], "no reply")]
#[case::broken(vec![Say::Reset(INTERNAL_ERROR)], "no reply")]
#[case::ended_without_trouble(vec![Say::Reset(NO_ERROR)], "no reply")]
#[case::closed(vec![Say::Close], "no reply")]
#[case::nonsense(vec![Say::Nonsense], "no reply")]
#[case::refused_within_the_reply(vec![Say::Head, Say::Reset(REFUSED_STREAM)], "no reply")]
#[case::gone_within_the_reply(vec![Say::Head, Say::GoAway(0, NO_ERROR)], "no reply")]
#[case::answered_all_the_same(vec![Say::GoAway(1, NO_ERROR), Say::Ok], "applied")]
#[tokio::test]
async fn only_what_is_said_to_be_unprocessed_had_no_effect_for_certain(
    #[case] says: Vec<Say>,
    #[case] wanted: &str,
) {
    let server = Server::start([says, vec![Say::Ok]]).await;
    let cognito = server.cognito(PATIENT);
    let reply = set(&cognito).await;
    assert_eq!(came(&reply), wanted, "{reply:?}");
    assert_eq!(server.seen().requests, [1], "nothing is sent twice");
    let next = set(&cognito).await;
    assert_eq!(came(&next), "applied", "{next:?}");
}

/// The second request of a connection has stream 3.
#[rstest]
#[case(1, "unprocessed")]
#[case(3, "no reply")]
#[tokio::test]
async fn it_is_the_request_of_this_stream_that_counts(#[case] last: u32, #[case] wanted: &str) {
    let gone = vec![Say::GoAway(last, NO_ERROR), Say::Close];
    let server = Server::start([vec![Say::Ok], gone, vec![Say::Ok]]).await;
    let cognito = server.cognito(PATIENT);
    for wanted in ["applied", wanted, "applied"] {
        let reply = set(&cognito).await;
        assert_eq!(came(&reply), wanted, "{reply:?}");
    }
    assert_eq!(server.seen().requests, [1, 3, 1]);
    assert_eq!(server.seen().connections, 2);
}

/// All calls share one connection, so a silent connection must not stay in use.
#[tokio::test]
async fn a_connection_that_goes_silent_is_used_by_nobody_again() {
    let server = Server::start([vec![Say::Ok], vec![], vec![Say::Ok]]).await;
    let cognito = server.cognito(HASTY);
    for wanted in ["applied", "no reply", "applied"] {
        let reply = set(&cognito).await;
        assert_eq!(came(&reply), wanted, "{reply:?}");
    }
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn calls_share_a_connection() {
    let server = Server::start((0..5).map(|_| vec![Say::Ok])).await;
    let cognito = server.cognito(PATIENT);
    for _ in 0..5 {
        assert_eq!(came(&set(&cognito).await), "applied");
    }
    assert_eq!(server.seen().requests, [1, 3, 5, 7, 9]);
    assert_eq!(server.seen().connections, 1);
}
