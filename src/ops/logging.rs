//! The log: one line per event on stderr, as text or JSON. A cap limits the level of every library; no filter
//! lifts the cap.
//!
//! Do not call a field of a span `name`, nor a field of an event `timestamp`, `level`, `target` or `spans`.
//! The JSON format writes its own values under these keys, and most readers drop or refuse a duplicate key.

use super::panics;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

/// How a log line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Which events are logged, below the cap. [`parse_filter`] makes a filter. `Display` prints the directives.
#[derive(Clone, Debug)]
pub struct Filter(EnvFilter);

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is not a log filter. The message is one line with the right form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{directive:?} is no log filter: write a level (off, error, warn, info, debug, trace), \
     target=level, or several of them with commas between, \
     e.g. `debug` or `{OURS}=trace,warn`"
)]
pub struct InvalidFilter {
    /// The part that is wrong.
    directive: String,
}

/// Reads a filter: levels and `target=level` separated by commas, e.g. `info` or
/// `cognito_password_operator=trace,warn`; spans as in `tracing-subscriber`'s `EnvFilter`, e.g.
/// `[reconcile]=debug`.
///
/// Stricter than `EnvFilter`, which reads an unknown word as the name of a target at level trace: there the
/// typo `inof` silences the whole log. Here `inof` is an error, and so is `target=`.
///
/// # Errors
/// [`InvalidFilter`], whose message goes to the person at the command line.
pub fn parse_filter(directives: &str) -> Result<Filter, InvalidFilter> {
    let refuse = |directive: &str| InvalidFilter {
        directive: directive.to_owned(),
    };
    // Trim each part: `EnvFilter` misreads a directive that begins with a space.
    let parts: Vec<&str> = directives
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return Err(refuse(directives));
    }
    // `EnvFilter` reads an empty level as `error` in one place and as `trace` in another; refuse an empty
    // level.
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    for part in &parts {
        let names_level = part
            .rsplit_once('=')
            .map_or_else(|| is_level(part), |(_, level)| is_level(level));
        // Parse each part alone, so that the message names the wrong part.
        if !names_level || parse_env_filter(part).is_err() {
            return Err(refuse(part));
        }
    }
    parse_env_filter(&parts.join(","))
        .map(Filter)
        .map_err(|_| refuse(directives))
}

/// Without regular expressions for field values: a log level needs none.
fn parse_env_filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().with_regex(false).parse(directives)
}

/// The name of our own crate: library and binary.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// The most verbose level of every other crate, whatever the filter says.
///
/// At debug and trace, HTTP and TLS libraries (`hyper`, `hyper_util`, `h2`, `tower`, `tower_http`, `rustls`)
/// print headers, frames and bodies; unknown libraries may too. `kube_runtime` is safe at info as well: its
/// watcher prints only object references and reasons there. At debug the watcher prints errors with `{:?}`.
/// Such an error contains all bytes of a list that is not UTF-8, and quotes a mistyped field.
const CAP: LevelFilter = LevelFilter::INFO;

/// Libraries that print too much even at info. The first matching prefix counts.
const LOWER_CAPS: [(&str, LevelFilter); 9] = [
    // These modules find credentials. A failure is a warning with the whole error as `{:?}`, which contains
    // the reply's body. The body of an STS reply that could not be parsed contains the session's keys. The
    // operator's own report of the failure has the useful part.
    ("aws_config::meta", LevelFilter::ERROR),
    ("aws_config::profile", LevelFilter::ERROR),
    ("aws_config::sts", LevelFilter::ERROR),
    ("aws_config::web_identity_token", LevelFilter::ERROR),
    // Warns with the line of the AWS configuration file that could not be read.
    ("aws_runtime::env_config", LevelFilter::ERROR),
    // Logs an error with a whole reply as `{:?}`, at level error, for a call that had already failed.
    (
        "aws_smithy_runtime_api::client::interceptors",
        LevelFilter::OFF,
    ),
    // At trace the SDK prints requests. With `LOG_SIGNABLE_BODY=true` in the environment, the request
    // includes the password as a list of bytes (observed with aws-sigv4 1.6). What a later version prints at
    // debug or info is unknown, and the operator needs neither level.
    ("aws_", LevelFilter::WARN),
    // Warns with the whole body that could not be decoded. That may be the body of a Secret.
    ("kube_client", LevelFilter::ERROR),
    // Warns of a refused list at each try, twice a second. The operator's watch logs the refusal once.
    ("kube_runtime::watcher", LevelFilter::ERROR),
];

/// The most verbose level allowed for `name`, a target or a module path.
fn cap_of(name: &str) -> LevelFilter {
    let ours = name
        .strip_prefix(OURS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if ours {
        return LevelFilter::TRACE;
    }
    LOWER_CAPS
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map_or(CAP, |(_, cap)| *cap)
}

/// Whether an event or span is under the cap. Both the target and the module count: a target is free text,
/// and must not lift the cap.
fn is_under_cap(metadata: &Metadata<'_>) -> bool {
    let by_target = cap_of(metadata.target());
    let by_module = metadata.module_path().map_or(by_target, cap_of);
    *metadata.level() <= by_target.min(by_module)
}

/// The cap is a layer of its own beside the filter, so that no directive lifts the cap. The cap holds for
/// spans too: kube's HTTP span contains the URL.
fn cap() -> FilterFn {
    filter_fn(is_under_cap)
}

/// A subscriber with filter, cap and format that writes to `writer`. For [`init`], and for tests that read
/// the log.
///
/// Timestamps are RFC 3339 in UTC. JSON keeps the fields of every span around an event, outermost
/// first, under `spans`.
pub fn subscriber<W>(
    format: Format,
    filter: Filter,
    ansi: bool,
    writer: W,
) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        // Otherwise tracing reports an unwritable line with `eprintln!`, which panics if stderr itself is
        // gone.
        .log_internal_errors(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        Format::Text => lines.compact().boxed(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .boxed(),
    };
    Registry::default().with(cap()).with(filter.0).with(lines)
}

/// Logs to stderr from now on, for the whole process, panics included. Uses colours only on a terminal, and
/// not if `NO_COLOR` is set.
///
/// Records of the `log` crate, which rustls writes, are not logged: such a record has no callsite, and the
/// cap needs the callsite. The error of the failed call has the useful part of the record.
///
/// # Errors
/// If a subscriber is installed already.
pub fn init(format: Format, filter: Filter) -> Result<(), SetGlobalDefaultError> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = std::io::stderr().is_terminal() && !no_color;
    let subscriber = subscriber(format, filter, ansi, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    panics::log_panics();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing::subscriber::with_default;
    use tracing::{Level, debug, event, info, info_span, trace, warn};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, directives: &str, job: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let filter = parse_filter(directives).expect("a filter");
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        with_default(subscriber, job);
        let bytes = buffer.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// One event per relevant library, at a level where the library may print a secret.
    fn log_as_libraries() {
        event!(target: "aws_smithy_runtime::client", Level::TRACE, "leak: request body");
        event!(target: "aws_smithy_runtime::client", Level::DEBUG, "leak: request");
        event!(target: "aws_sdk_cognitoidentityprovider", Level::INFO, "leak: info");
        event!(target: "aws_sigv4::http_request", Level::TRACE, "leak: canonical request");
        event!(target: "aws_smithy_runtime_api::client::interceptors::context", Level::ERROR, "leak: reply");
        event!(target: "aws_config::web_identity_token", Level::WARN, "leak: reply");
        event!(target: "aws_config::sts::assume_role", Level::WARN, "leak: reply");
        event!(target: "aws_config::meta::credentials::chain", Level::WARN, "leak: reply");
        event!(target: "aws_sdk_sts::operation", Level::INFO, "leak: session");
        event!(target: "aws_runtime::env_config::normalize", Level::WARN, "leak: line");
        event!(target: "hyper::proto::h1::io", Level::TRACE, "leak: bytes");
        event!(target: "hyper_util::client::legacy", Level::DEBUG, "leak: pool");
        event!(target: "h2::codec::framed_write", Level::DEBUG, "leak: frame");
        event!(target: "rustls::client::hs", Level::DEBUG, "leak: hello");
        event!(target: "tower_http::trace", Level::DEBUG, "leak: request");
        event!(target: "kube_client::client", Level::WARN, "leak: undecodable body");
        event!(target: "kube_runtime::watcher", Level::DEBUG, "leak: undecodable list");
        event!(target: "a_library_of_tomorrow", Level::DEBUG, "leak: whatever");
    }

    /// Every form of a filter, and some texts that are not a filter.
    fn hostile_directives() -> Vec<String> {
        let mut hostile: Vec<_> = [
            "trace",
            "TRACE",
            "5",
            ",,, trace ,,,",
            "off,trace",
            "cognito_password_operator=off,trace",
            "aws_smithy_runtime=trace",
            "aws_smithy_runtime=5",
            "aws_smithy_runtime::client=trace,aws_sigv4=trace,aws_sdk_cognitoidentityprovider=trace",
            "aws_config=trace,aws_runtime=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace",
            "kube_client=trace,kube_runtime=trace,tower_http=trace,a_library_of_tomorrow=trace",
            "a=trace,aws=trace,aws_=trace,h=trace,hyper_util::client=trace,kube_client::client=trace",
            "aws_smithy_runtime::=trace",
            "::aws_smithy_runtime=trace",
            "AWS_SMITHY_RUNTIME=TRACE",
            "aws.*=trace",
            "*=trace",
            "=trace",
            "-=trace",
            // By span and by field.
            "[ours]=trace",
            "[]=trace",
            "[{}]=trace",
            "[{message}]=trace",
            "[ours{user=ci-bot}]=trace",
            "[ours{user=.*}]=trace",
            "[ours{user=\"ci-bot\"}]=trace",
            "[{user=ci-bot}]=trace",
            "aws_smithy_runtime[{x}]=trace",
            "aws_smithy_runtime[{message}]=trace",
            "aws_smithy_runtime::client[ours]=trace",
            "aws_smithy_runtime::client[ours{user}]=trace,aws_sigv4::http_request[ours]=trace",
            "kube_client::client[ours{user=ci-bot}]=trace",
            // Names of our own crate.
            "cognito_password_operator=trace",
            "cognito_password_operator::aws_smithy_runtime=trace",
            "cognito_password_operator[ours]=trace",
        ]
        .map(str::to_owned)
        .into();
        hostile.push(vec!["aws_sigv4=trace"; 1_000].join(","));
        let flood: Vec<_> = (0..1_000).map(|n| format!("a{n}=trace")).collect();
        hostile.push(flood.join(","));
        hostile.push(format!("{}trace", ",".repeat(10_000)));
        hostile
    }

    #[test]
    fn no_directive_lifts_the_cap_on_libraries() {
        let hostile = hostile_directives();
        let filters = hostile.iter().filter(|text| parse_filter(text).is_ok());
        let mut logged_lines = 0;
        for directives in filters {
            let log = logged(Format::Text, directives, || {
                let _inside = info_span!("ours", user = "ci-bot").entered();
                log_as_libraries();
                trace!("ours, at trace");
            });
            assert!(!log.contains("leak"), "{directives}:\n{log}");
            logged_lines += usize::from(log.contains("ours, at trace"));
        }
        assert!(
            logged_lines > 10,
            "of {} that were to open it all",
            hostile.len()
        );
    }

    #[test]
    fn our_own_trace_is_logged() {
        let log = logged(Format::Text, "trace", || trace!("ours, at trace"));
        assert!(log.contains("ours, at trace"), "{log}");
        let log = logged(Format::Text, "cognito_password_operator=trace,warn", || {
            trace!("ours, at trace");
            event!(target: "kube_runtime::controller", Level::INFO, "theirs, at info");
        });
        assert!(log.contains("ours, at trace"), "{log}");
        assert!(!log.contains("theirs"), "{log}");
    }

    #[test]
    fn events_of_libraries_below_the_cap_are_logged() {
        let log = logged(Format::Text, "info", || {
            event!(target: "aws_smithy_runtime::client", Level::WARN, "aws warns");
            event!(target: "kube_client::client::builder", Level::ERROR, "kube fails");
            event!(target: "kube_runtime::controller", Level::WARN, "kube warns");
            event!(target: "a_library_of_tomorrow", Level::INFO, "tomorrow informs");
        });
        for line in ["aws warns", "kube fails", "kube warns", "tomorrow informs"] {
            assert!(log.contains(line), "{line}:\n{log}");
        }
    }

    #[test]
    fn the_cap_holds_for_spans() {
        for format in [Format::Text, Format::Json] {
            let log = logged(format, "trace", || {
                let _http = tracing::debug_span!(
                    target: "kube_client::client::builder", "HTTP", http.url = "leak"
                )
                .entered();
                let _sdk = tracing::trace_span!(
                    target: "aws_smithy_runtime::client", "invoke", input = "leak"
                )
                .entered();
                info!("inside");
            });
            assert!(log.contains("inside"), "{log}");
            assert!(!log.contains("leak"), "{log}");
        }
    }

    #[test]
    fn only_our_crate_has_no_cap() {
        assert_eq!(cap_of("cognito_password_operator"), LevelFilter::TRACE);
        assert_eq!(
            cap_of("cognito_password_operator::controller"),
            LevelFilter::TRACE
        );
        assert_eq!(cap_of("cognito_password_operator_x"), LevelFilter::INFO);
        assert_eq!(cap_of(""), LevelFilter::INFO);
    }

    #[test]
    fn the_filter_itself_still_filters() {
        let log = logged(Format::Text, "warn", || {
            debug!("quiet");
            info!("quiet");
            warn!("loud");
        });
        assert!(log.contains("loud"), "{log}");
        assert!(!log.contains("quiet"), "{log}");
        let log = logged(Format::Text, "off", || tracing::error!("quiet"));
        assert_eq!(log, "");
    }

    #[test]
    fn a_json_line_is_flat_and_keeps_the_fields_of_all_spans() {
        let log = logged(Format::Json, "info", || {
            let _outer = info_span!("reconcile", object = "team-a/ci-bot").entered();
            let _inner = info_span!("set", attempt = 7).entered();
            info!(request_id = "r-1", "password set");
        });
        let line: serde_json::Value = serde_json::from_str(&log).expect("one JSON object");
        assert_eq!(line["message"], "password set");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["object"], "team-a/ci-bot");
        assert_eq!(line["spans"][1]["attempt"], 7);
        let timestamp = line["timestamp"].as_str().expect("a timestamp");
        timestamp.parse::<jiff::Timestamp>().expect("RFC 3339");
        assert!(timestamp.ends_with('Z'), "{timestamp}");
    }

    #[test]
    fn a_text_line_is_plain_and_has_the_fields_of_spans() {
        let log = logged(Format::Text, "info", || {
            let _span = info_span!("reconcile", object = "team-a/ci-bot").entered();
            info!("password set");
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!log.contains('\u{1b}'), "{log:?}");
        assert!(log.contains("password set"), "{log}");
        assert!(log.contains("team-a/ci-bot"), "{log}");
    }

    #[test]
    fn an_invalid_filter_is_refused_and_the_message_shows_the_right_form() {
        for bad in [
            "",
            " , ",
            "inof",
            "cognito_password_operator",
            "cognito_password_operator=",
            "cognito_password_operator=loud",
            "cognito_password_operator:trace",
            "info,=debug",
            "info,[reconcile=debug",
        ] {
            let message = match parse_filter(bad) {
                Ok(filter) => panic!("{bad:?} was taken as {filter}"),
                Err(error) => error.to_string(),
            };
            assert!(message.contains("target=level"), "{message}");
            assert!(message.contains("debug"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let message = parse_filter("info,kube=lot")
            .expect_err("no level")
            .to_string();
        assert!(message.starts_with("\"kube=lot\""), "{message}");
    }

    #[test]
    fn filters_may_have_spaces_capitals_and_spans() {
        for good in [
            "info",
            "INFO",
            "debug",
            " info , kube_runtime=warn ",
            "cognito_password_operator=trace,warn",
            "cognito_password_operator::controller=debug,info,",
            "off",
            "info,[reconcile]=debug",
            "info,[reconcile{object=x}]=debug",
        ] {
            parse_filter(good).unwrap_or_else(|error| panic!("{good:?}: {error}"));
        }
        let filter = parse_filter(" warn , kube_runtime=info").expect("a filter");
        assert_eq!(filter.to_string(), "kube_runtime=info,warn");
    }

    #[test]
    fn a_writer_that_fails_does_not_panic() {
        struct ClosedPipe;
        impl Write for ClosedPipe {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let filter = parse_filter("info").expect("a filter");
        with_default(
            subscriber(Format::Json, filter, false, || ClosedPipe),
            || {
                info!("into the void");
            },
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_a_filter_panic(
            text in ".{0,60}|([a-z_:]{0,8}(\\[[a-z{}=]{0,6}\\])?=?(debug|trace|0|9)?,?){0,6}",
        ) {
            match parse_filter(&text) {
                // A printed filter can be read again.
                Ok(filter) => prop_assert!(parse_filter(&filter.to_string()).is_ok(), "{}", filter),
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }
}
