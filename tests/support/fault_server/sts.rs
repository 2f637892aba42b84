//! STS at the same URL as Cognito: `AssumeRole` and `GetCallerIdentity` in STS's wire protocol (AWS Query: a
//! form as the request, XML as the reply).

use std::collections::HashMap;
use std::time::Duration;

use hyper::header::HeaderMap;

use super::faults::Failure;

/// The account of the operator's own identity. The access key does not contain the account.
pub(crate) const OWN_ACCOUNT: &str = "999988887777";

/// An `AssumeRole` that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssumeRole {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
    pub(crate) session_name: String,
    /// The caller: the access key id and the Region from the signature.
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) user_agent: String,
    /// The error code if the request was refused.
    pub(crate) refused: Option<String>,
}

/// The access key id of all sessions of a role.
pub(crate) fn session_key(arn: &str) -> String {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
    format!("ASIA{account}{}", name.to_ascii_uppercase())
}

/// How STS answers requests for a role.
#[derive(Clone, Debug)]
enum Trust {
    /// Sessions of this length for callers with this external id; without one, for all callers.
    Allowed {
        external_id: Option<String>,
        lifetime: Duration,
    },
    Refused(Failure),
    /// No reply, as long as the role is in this state.
    Hangs,
}

#[derive(Debug, Default)]
pub(super) struct Sts {
    roles: HashMap<String, Trust>,
    /// The refusal of all requests, whatever the role.
    refused: Option<Failure>,
    record: Vec<AssumeRole>,
    caller_identities: usize,
}

/// What the service does with a request.
pub(super) enum Answer {
    Reply(String),
    Refuse(Failure),
    /// Evaluate the request again after the next change of the state.
    Hang,
}

impl Sts {
    pub(super) fn allow(&mut self, arn: &str, external_id: Option<&str>, lifetime: Duration) {
        let external_id = external_id.map(str::to_owned);
        let trust = Trust::Allowed {
            external_id,
            lifetime,
        };
        self.roles.insert(arn.to_owned(), trust);
    }

    pub(super) fn refuse(&mut self, arn: &str, failure: Failure) {
        self.roles.insert(arn.to_owned(), Trust::Refused(failure));
    }

    pub(super) fn hang(&mut self, arn: &str) {
        self.roles.insert(arn.to_owned(), Trust::Hangs);
    }

    pub(super) fn refuse_all(&mut self, failure: Option<Failure>) {
        self.refused = failure;
    }

    pub(super) fn record(&self) -> &[AssumeRole] {
        &self.record
    }

    pub(super) fn caller_identities(&self) -> usize {
        self.caller_identities
    }

    /// Records a request. Returns its number.
    pub(super) fn arrived(&mut self, request: &Request) -> usize {
        match request {
            Request::AssumeRole(asked) => self.record.push(asked.clone()),
            Request::GetCallerIdentity { .. } => self.caller_identities += 1,
        }
        self.record.len()
    }

    /// Records the refusal of a request, unless the server was reset after the request.
    pub(super) fn refused(&mut self, number: usize, failure: &Failure) {
        if let Some(call) = number.checked_sub(1).and_then(|at| self.record.get_mut(at)) {
            call.refused.clone_from(&failure.code);
        }
    }

    pub(super) fn answer(&self, request: &Request) -> Answer {
        match (&self.refused, request) {
            (Some(failure), _) => Answer::Refuse(failure.clone()),
            (None, Request::AssumeRole(asked)) => self.assume(asked),
            (None, Request::GetCallerIdentity { access_key }) => caller_identity(access_key),
        }
    }

    fn assume(&self, asked: &AssumeRole) -> Answer {
        match self.roles.get(&asked.arn) {
            Some(Trust::Hangs) => Answer::Hang,
            Some(Trust::Refused(failure)) => Answer::Refuse(failure.clone()),
            Some(Trust::Allowed {
                external_id,
                lifetime,
            }) if external_id.is_none() || *external_id == asked.external_id => {
                Answer::Reply(session(asked, *lifetime))
            }
            // AWS gives the same answer for a role that does not exist.
            Some(Trust::Allowed { .. }) | None => Answer::Refuse(not_authorized(&asked.arn)),
        }
    }
}

fn not_authorized(arn: &str) -> Failure {
    let message = format!(
        "User: arn:aws:iam::{OWN_ACCOUNT}:user/operator is not authorized to perform: \
         sts:AssumeRole on resource: {arn}"
    );
    Failure::new(403, "AccessDenied", &message)
}

fn session(asked: &AssumeRole, lifetime: Duration) -> String {
    let lifetime = jiff::SignedDuration::try_from(lifetime).expect("a session's length");
    let expiration = jiff::Timestamp::now() + lifetime;
    let account = asked.arn.split(':').nth(4).unwrap_or_default();
    let role = asked.arn.rsplit('/').next().unwrap_or_default();
    let (key, name) = (session_key(&asked.arn), &asked.session_name);
    result(
        "AssumeRole",
        &format!(
            "<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{name}</AssumedRoleId>\
             <Arn>arn:aws:sts::{account}:assumed-role/{role}/{name}</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>{key}</AccessKeyId>\
             <SecretAccessKey>session-secret</SecretAccessKey>\
             <SessionToken>session-token</SessionToken>\
             <Expiration>{expiration:.0}</Expiration></Credentials>"
        ),
    )
}

fn caller_identity(access_key: &str) -> Answer {
    Answer::Reply(result(
        "GetCallerIdentity",
        &format!(
            "<Arn>arn:aws:iam::{OWN_ACCOUNT}:user/operator</Arn><UserId>{access_key}</UserId>\
             <Account>{OWN_ACCOUNT}</Account>"
        ),
    ))
}

fn result(operation: &str, fields: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <{operation}Result>{fields}</{operation}Result>\
         <ResponseMetadata><RequestId>4711</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// An error reply in the format of STS.
pub(super) fn failed(failure: &Failure) -> String {
    let code = escaped(failure.code.as_deref().unwrap_or_default());
    let message = escaped(&failure.message);
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>4711</RequestId></ErrorResponse>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A request to STS.
#[derive(Clone, Debug)]
pub(super) enum Request {
    AssumeRole(AssumeRole),
    GetCallerIdentity { access_key: String },
}

impl Request {
    /// IAM's name of the action.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::AssumeRole(_) => "sts:AssumeRole",
            Self::GetCallerIdentity { .. } => "sts:GetCallerIdentity",
        }
    }

    /// None if the body is not a request to STS, or not one that the operator may make.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let fields: HashMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let (access_key, region) = super::service::signer(headers);
        match fields.get("Action").map(String::as_str) {
            Some("AssumeRole") => Some(Self::AssumeRole(AssumeRole {
                arn: fields.get("RoleArn")?.clone(),
                external_id: fields.get("ExternalId").cloned(),
                session_name: fields.get("RoleSessionName")?.clone(),
                access_key,
                region,
                user_agent: super::service::header(headers, "user-agent"),
                refused: None,
            })),
            Some("GetCallerIdentity") => Some(Self::GetCallerIdentity { access_key }),
            _ => None,
        }
    }
}
