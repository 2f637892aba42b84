//! Translates the SDK's result into the facts of a [`Reply`].

use super::{
    error_text::{causes, find, one_line, redact},
    http::is_unprocessed,
    output::timestamp,
};
use crate::core::{
    credential::password::Password,
    protocol::reply::{NotSent, Reply, ServiceError},
};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentityprovider::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            AfterDeserializationInterceptorContextRef as AfterDeserialization,
            BeforeTransmitInterceptorContextRef as BeforeTransmit,
        },
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime_api::{
    box_error::BoxError, client::orchestrator::HttpResponse, http::Headers,
};
use aws_smithy_types::{DateTime, date_time::Format};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{
    error::Error,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The SDK's result of an operation with this output and error.
pub(super) type Outcome<O, E> = Result<O, SdkError<E, HttpResponse>>;

/// Whether the body of an HTTP 200 may be the output of the operation.
pub(super) type BodyCheck = fn(&[u8]) -> bool;

/// Maximum lengths of texts, in characters.
const DETAIL_MAX: usize = 512;
const MESSAGE_MAX: usize = 1_024;
const NAME_MAX: usize = 128;

/// The detail of a success that no operation of Cognito answers with.
const NOT_COGNITOS: &str =
    "the reply is not Cognito's: no HTTP 200 with a body that this operation has";

/// Records, inside the SDK, facts that the SDK's errors and outputs don't contain. One for each call.
#[derive(Clone, Debug)]
pub(super) struct RequestRecorder(Arc<RequestFacts>);

#[derive(Debug)]
struct RequestFacts {
    /// Which bodies the operation may have.
    is_output: BodyCheck,
    /// The connector has received the request, so the request may have left this machine.
    sent: AtomicBool,
    /// The reply is HTTP 200 with a body that the operation may have.
    succeeded: AtomicBool,
    /// The reply's `Date`.
    answered_at: OnceLock<Timestamp>,
}

impl RequestRecorder {
    pub(super) fn new(is_output: BodyCheck) -> Self {
        Self(Arc::new(RequestFacts {
            is_output,
            sent: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            answered_at: OnceLock::new(),
        }))
    }
}

impl Intercept for RequestRecorder {
    fn name(&self) -> &'static str {
        "RequestRecorder"
    }

    /// The last hook before the connector is called.
    fn read_before_transmit(
        &self,
        _: &BeforeTransmit<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.sent.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The first hook that has the whole body. Measured: the SDK refuses a 200 whose body is not JSON, but
    /// counts a blank body, 202 and 204 as success. Cognito never sends such replies. A proxy or captive
    /// portal may.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserialization<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let succeeded = response.status().as_u16() == 200
            && response.body().bytes().is_some_and(self.0.is_output);
        self.0.succeeded.store(succeeded, Ordering::Relaxed);
        if let Some(date) = date(response.headers()) {
            // The hook is called once for each request, and a call is one request.
            let _ = self.0.answered_at.set(date);
        }
        Ok(())
    }
}

/// The facts of one call. `password` is the password of the request, if the request had one. `read` gets the
/// output of the operation; None if the output lacks something that every output of Cognito has.
pub(super) fn reply<T, O, E>(
    outcome: Outcome<O, E>,
    recorder: &RequestRecorder,
    password: Option<&Password>,
    read: impl FnOnce(O) -> Option<T>,
) -> Reply<T>
where
    O: RequestId,
    E: ProvideErrorMetadata + Error + 'static,
{
    let clean = |text: &str, max| match password {
        Some(password) => one_line(&redact(text, password), max),
        None => one_line(text, max),
    };
    let name = |text: Option<&str>| {
        text.map(|text| clean(text, NAME_MAX))
            .filter(|text| !text.is_empty())
    };
    let error = match outcome {
        Ok(output) => {
            let request_id = name(output.request_id());
            let succeeded = recorder.0.succeeded.load(Ordering::Relaxed);
            let output = if succeeded { read(output) } else { None };
            return match output {
                Some(output) => Reply::Success {
                    output,
                    request_id,
                    answered_at: recorder.0.answered_at.get().copied(),
                },
                None => Reply::NoReply {
                    detail: NOT_COGNITOS.to_owned(),
                },
            };
        }
        Err(error) => error,
    };
    let detail = clean(&causes(&error), DETAIL_MAX);
    let sent = recorder.0.sent.load(Ordering::Relaxed);
    match error {
        error if !sent => Reply::NotSent {
            cause: not_sent_cause(&error),
            detail,
        },
        SdkError::ServiceError(error) => Reply::ServiceError(ServiceError {
            status: error.raw().status().as_u16(),
            code: name(error.err().code()),
            message: error.err().message().map(|text| clean(text, MESSAGE_MAX)),
            request_id: name(error.err().meta().request_id()),
        }),
        // An error status with a body that names no code, such as a load balancer's HTML. No modelled error
        // takes this branch.
        SdkError::ResponseError(error) if !error.raw().status().is_success() => {
            Reply::ServiceError(ServiceError {
                status: error.raw().status().as_u16(),
                code: None,
                message: error
                    .raw()
                    .body()
                    .bytes()
                    .and_then(message_of)
                    .map(|text| clean(&text, MESSAGE_MAX)),
                request_id: name(request_id(error.raw().headers())),
            })
        }
        SdkError::DispatchFailure(_) if is_connect_error(&error) => Reply::NotSent {
            cause: NotSent::Connect,
            detail,
        },
        SdkError::DispatchFailure(_) if is_unprocessed(&error) => Reply::NotSent {
            cause: NotSent::Unprocessed,
            detail,
        },
        _ => Reply::NoReply { detail },
    }
}

fn not_sent_cause(error: &(dyn Error + 'static)) -> NotSent {
    if find::<CredentialsError>(error).is_some() {
        NotSent::Credentials
    } else {
        NotSent::Request
    }
}

/// Whether the call got no connection. For hyper-util's client one connector does DNS, TCP, the proxy's
/// CONNECT, TLS and the timeout around all of these. hyper-util reports a failure of the connector, and
/// nothing else, as a connect error. After a connect error the client has no connection, so no part of the
/// request was sent.
fn is_connect_error(error: &(dyn Error + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// The message of an error reply that names no code, if the reply is JSON.
fn message_of(body: &[u8]) -> Option<String> {
    let fields = serde_json::from_slice::<Map<String, Value>>(body).ok()?;
    let words = fields.get("message").or_else(|| fields.get("Message"))?;
    words.as_str().map(str::to_owned)
}

/// The time of the reply by the clock of AWS.
fn date(headers: &Headers) -> Option<Timestamp> {
    let date = DateTime::from_str(headers.get("date")?, Format::HttpDate).ok()?;
    timestamp(&date)
}

fn request_id(headers: &Headers) -> Option<&str> {
    headers
        .get("x-amzn-requestid")
        .or_else(|| headers.get("x-amz-request-id"))
}
