//! The answers to requests, by path and method.

use super::super::{
    health::Readiness,
    metrics::{CONTENT_TYPE, Metrics},
};
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::sleep_until};

/// The pause after a rendering of the metrics, as a multiple of the time that the rendering took. So all
/// scrapes together take at most a tenth of the processor.
const PAUSE: u32 = 9;

/// The longest pause, also after a slow rendering: a scraper gives up after some seconds.
const PAUSE_MAX: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers every request.
#[derive(Debug)]
pub(super) struct Pages {
    readiness: Readiness,
    metrics: Arc<Metrics>,
    last_scrape: Mutex<Option<Scrape>>,
}

/// A rendering of the metrics.
#[derive(Debug)]
struct Scrape {
    began: Instant,
    text: Bytes,
    /// When the next rendering may begin.
    next: Instant,
}

impl Pages {
    pub(super) fn new(readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self {
            readiness,
            metrics,
            last_scrape: Mutex::new(None),
        }
    }

    pub(super) async fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return page(StatusCode::NOT_FOUND, TEXT, "not found");
        }
        // hyper leaves the body out of the answer to a HEAD.
        if ![Method::GET, Method::HEAD].contains(method) {
            let refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed");
            return with(refused, header::ALLOW, "GET, HEAD");
        }
        match path {
            "/livez" => page(StatusCode::OK, TEXT, "ok"),
            "/readyz" => self.readyz(),
            _ => page(StatusCode::OK, CONTENT_TYPE, self.scrape().await),
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let failures = self.readiness.failures();
        if failures.is_empty() {
            return page(StatusCode::OK, TEXT, "ok");
        }
        let lines = failures.join("\n") + "\n";
        page(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines)
    }

    /// The metrics as of now. Requests that wait for the same rendering share its text. The text is always
    /// rendered after the request came, so no answer is older than its request.
    async fn scrape(&self) -> Bytes {
        let requested_at = Instant::now();
        let mut last = self.last_scrape.lock().await;
        match &*last {
            Some(scrape) if scrape.began >= requested_at => return scrape.text.clone(),
            // The lock stays locked, so that all requests that come meanwhile wait for the same rendering.
            Some(scrape) => sleep_until(scrape.next.into()).await,
            None => {}
        }
        let began = Instant::now();
        let text = Bytes::from(self.metrics.encode());
        let ended = Instant::now();
        let next = ended + pause_after(ended - began);
        last.insert(Scrape { began, text, next }).text.clone()
    }
}

fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(PAUSE).min(PAUSE_MAX)
}

fn page(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    with(page, header::CONTENT_TYPE, content_type)
}

fn with<B>(mut page: Response<B>, name: HeaderName, value: &'static str) -> Response<B> {
    page.headers_mut()
        .insert(name, HeaderValue::from_static(value));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use rstest::rstest;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Pages with metrics that count their renderings.
    fn counting() -> (Pages, Arc<AtomicU64>) {
        let metrics = Metrics::new("1.2.3");
        let rendered = Arc::new(AtomicU64::new(0));
        let count = rendered.clone();
        metrics.measure_queue_with(move || count.fetch_add(1, Ordering::Relaxed) + 1);
        (Pages::new(Readiness::new(), Arc::new(metrics)), rendered)
    }

    /// The number of the rendering.
    fn number(text: &Bytes) -> u64 {
        let text = std::str::from_utf8(text).expect("text");
        let sample = text
            .lines()
            .find_map(|line| line.strip_prefix("cognito_password_operator_queue_length "));
        sample.expect("the gauge").parse().expect("a number")
    }

    #[tokio::test]
    async fn concurrent_scrapes_share_a_rendering() {
        let (pages, rendered) = counting();
        let texts = join_all((0..200).map(|_| pages.scrape())).await;
        // The first request is answered at once. The others come after that rendering began, and share the
        // next one.
        assert_eq!(rendered.load(Ordering::Relaxed), 2);
        assert_eq!(number(&texts[0]), 1);
        for text in &texts[1..] {
            assert_eq!(number(text), 2);
        }
    }

    #[tokio::test]
    async fn no_answer_is_older_than_its_request() {
        let (pages, _) = counting();
        for expected in 1..=5 {
            assert_eq!(number(&pages.scrape().await), expected);
        }
    }

    #[tokio::test]
    async fn a_scraper_that_gives_up_does_not_block_others() {
        let (pages, _) = counting();
        pages.scrape().await;
        let given_up = tokio::time::timeout(Duration::ZERO, pages.scrape()).await;
        drop(given_up);
        let deadline = Duration::from_mins(2);
        let scraped = tokio::time::timeout(deadline, pages.scrape()).await;
        assert!(number(&scraped.expect("an answer")) > 1);
    }

    #[rstest]
    #[case(Duration::ZERO, Duration::ZERO)]
    #[case(Duration::from_millis(2), Duration::from_millis(18))]
    #[case(Duration::from_millis(900), PAUSE_MAX)]
    #[case(Duration::MAX, PAUSE_MAX)]
    fn the_pause_after_a_rendering_is_nine_times_as_long_and_at_most_a_second(
        #[case] took: Duration,
        #[case] pause: Duration,
    ) {
        assert_eq!(pause_after(took), pause);
    }

    #[rstest]
    #[case("GET", "/livez", 200)]
    #[case("HEAD", "/livez", 200)]
    #[case("GET", "/readyz", 200)]
    #[case("GET", "/metrics", 200)]
    #[case("POST", "/metrics", 405)]
    #[case("DELETE", "/livez", 405)]
    #[case("GET", "/", 404)]
    #[case("GET", "/metrics/", 404)]
    #[case("GET", "/healthz", 404)]
    #[case("POST", "/healthz", 404)]
    #[tokio::test]
    async fn only_get_and_head_of_the_three_paths_are_answered(
        #[case] method: &str,
        #[case] path: &str,
        #[case] status: u16,
    ) {
        let (pages, _) = counting();
        let method = method.parse().expect("a method");
        let answer = pages.answer(&method, path).await;
        assert_eq!(answer.status(), status);
        let allow = answer.headers().get(header::ALLOW);
        assert_eq!(allow.is_some(), status == 405);
    }
}
