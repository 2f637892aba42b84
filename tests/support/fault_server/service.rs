//! One request: Cognito's wire protocol (AWS JSON 1.1) and STS's, in front of the model and the faults.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use jiff::fmt::rfc2822::DateTimePrinter;

use super::faults::Failure;
use super::in_flight::{Caller, InFlight};
use super::operation::Operation;
use super::reply::{Reply, failed, response, succeeded};
use super::request::Asked;
use super::{Shared, sts};

/// How the command line of AWS begins its `User-Agent`.
const COMMAND_LINE: &str = "aws-cli/";

/// hyper closes the connection without a reply if a service returns an error.
#[derive(Debug)]
pub(super) struct ConnectionDrop;

impl std::fmt::Display for ConnectionDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the fault server drops this connection")
    }
}

impl std::error::Error for ConnectionDrop {}

/// Answers one request, or drops its connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Reply, ConnectionDrop> {
    let mut reply = answer_undated(Arc::clone(&shared), request).await?;
    if let Some(date) = shared.read(|state| (!state.model.omits_date).then(|| state.model.date())) {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date);
        let date = date.expect("a year of four digits");
        let date = HeaderValue::from_str(&date).expect("a date is ASCII");
        reply.headers_mut().insert(DATE, date);
    }
    Ok(reply)
}

async fn answer_undated(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Reply, ConnectionDrop> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(ConnectionDrop);
    };
    let body = body.to_bytes();
    let target = header(&head.headers, "x-amz-target");
    let agent = header(&head.headers, USER_AGENT.as_str());
    let record_action = |action: String| {
        // A person with the command line of AWS has other rights than the operators.
        if !agent.starts_with(COMMAND_LINE) {
            shared.update(|state| state.actions.insert(action));
        }
    };
    if target.is_empty()
        && let Some(request) = sts::Request::parse(&head.headers, &body)
    {
        record_action(request.action().to_owned());
        return Ok(answer_sts(shared, &request).await);
    }
    if let Some(events) = shared.read(|state| state.trail.answer(&target, &body)) {
        return Ok(succeeded(&events));
    }
    let name = target.rsplit('.').next().unwrap_or_default();
    record_action(format!("cognito-idp:{name}"));
    let Some(operation) = Operation::of_target(&target) else {
        let failure = Failure::new(400, "UnknownOperationException", &target);
        return Ok(failed(&failure));
    };
    let asked = match Asked::parse(operation, &body) {
        Ok(asked) => asked,
        Err(failure) => return Ok(failed(&failure)),
    };
    let (access_key, region) = signer(&head.headers);
    if access_key.is_empty() {
        let message = "Missing Authentication Token";
        let failure = Failure::new(400, "MissingAuthenticationTokenException", message);
        return Ok(failed(&failure));
    }
    let caller = Caller {
        user_agent: agent,
        access_key,
        region,
    };
    InFlight::begin(shared, asked, caller).run().await
}

async fn answer_sts(shared: Arc<Shared>, request: &sts::Request) -> Reply {
    let number = shared.update(|state| state.sts.arrived(request));
    let mut changed = shared.changed.subscribe();
    loop {
        match shared.read(|state| state.sts.answer(request)) {
            sts::Answer::Reply(body) => return response(StatusCode::OK, "text/xml", &body),
            sts::Answer::Refuse(failure) => {
                if let sts::Request::AssumeRole(_) = request {
                    shared.update(|state| state.sts.refused(number, &failure));
                }
                let status = StatusCode::from_u16(failure.status).expect("an HTTP status");
                return response(status, "text/xml", &sts::failed(&failure));
            }
            sts::Answer::Hang => {}
        }
        // An error means that the server has ended, and this task ends with the server.
        let _ = changed.changed().await;
    }
}

/// The access key id and the Region from the signature.
pub(super) fn signer(headers: &HeaderMap) -> (String, String) {
    let authorization = header(headers, AUTHORIZATION.as_str());
    // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
    let mut scope = authorization
        .split_once("Credential=")
        .map_or("", |(_, scope)| scope)
        .split('/');
    let key = scope.next().unwrap_or_default().to_owned();
    (key, scope.nth(1).unwrap_or_default().to_owned())
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
