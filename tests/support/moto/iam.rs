//! moto's IAM: users, roles and enforced policies, and the record of requests by access key.
//!
//! In a policy's statement, moto checks the actions. moto treats every Cognito resource as `*`. In a role's
//! trust policy, moto checks the principal and the external id.

use k8s_openapi::ByteString;
use serde_json::Value;

use super::super::http;
use super::Moto;

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A request to moto: its access key and its action (`sts:AssumeRole`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MotoRequest {
    pub(crate) access_key: String,
    pub(crate) action: String,
}

impl Moto {
    /// Calls an action of IAM as administrator. Returns the XML of the reply.
    pub(crate) async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let fixed = [("Action", action), ("Version", "2010-05-08")];
        let parameters = fixed.iter().chain(parameters);
        let body: Vec<_> = parameters
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        // moto takes the service from this scope. The signature is not checked before
        // [`enforce_iam`](Self::enforce_iam).
        let scope = "Credential=test/20260101/us-east-1/iam/aws4_request";
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded\r\n\
             Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none\r\n"
        );
        self.post("/", &headers, &body.join("&")).await
    }

    /// Creates a user with this policy. Returns an access key.
    pub(crate) async fn iam_user(&self, name: &str, policy: &str) -> AccessKey {
        let user = ("UserName", name);
        self.iam("CreateUser", &[user]).await;
        let policy = [user, ("PolicyName", "rights"), ("PolicyDocument", policy)];
        self.iam("PutUserPolicy", &policy).await;
        let key = self.iam("CreateAccessKey", &[user]).await;
        AccessKey {
            id: element(&key, "AccessKeyId"),
            secret: element(&key, "SecretAccessKey"),
        }
    }

    /// Creates a role with these policies. Returns its ARN.
    pub(crate) async fn iam_role(&self, name: &str, trust: &str, policy: &str) -> String {
        let role = ("RoleName", name);
        let created = [role, ("AssumeRolePolicyDocument", trust)];
        let created = self.iam("CreateRole", &created).await;
        let policy = [role, ("PolicyName", "rights"), ("PolicyDocument", policy)];
        self.iam("PutRolePolicy", &policy).await;
        element(&created, "Arn")
    }

    /// From now on every request needs an access key with the right to its action, and every request is
    /// recorded.
    pub(crate) async fn enforce_iam(&self) {
        self.post("/moto-api/recorder/reset-recording", "", "")
            .await;
        self.post("/moto-api/recorder/start-recording", "", "")
            .await;
        self.post("/moto-api/reset-auth", "", "0").await;
    }

    /// The requests since the start of the recording.
    pub(crate) async fn asked(&self) -> Vec<MotoRequest> {
        let recording = http::get(self.port, "/moto-api/recorder/download-recording").await;
        let (_, recording) = recording.unwrap_or_else(|error| panic!("{error}"));
        let entries = recording
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
        entries.filter_map(|entry| asked(&entry)).collect()
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        match http::post(self.port, path, headers, body).await {
            Ok((200, body)) => body,
            other => panic!("POST {path} {body}: {other:?}\n{}", self.process.log_tail()),
        }
    }
}

/// None for an unsigned request, which is one of moto's own API.
fn asked(entry: &Value) -> Option<MotoRequest> {
    let header = |name: &str| {
        let headers = entry["headers"].as_object()?;
        let (_, value) = headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        value.as_str()
    };
    let scope = header("Authorization")?.split_once("Credential=")?.1;
    let mut scope = scope.split([',', '/']);
    let (access_key, service) = (scope.next()?, scope.nth(2)?);
    let action = if let Some(target) = header("X-Amz-Target") {
        target.rsplit('.').next()?.to_owned()
    } else {
        let body: ByteString = serde_json::from_value(entry["body"].clone()).ok()?;
        let body = String::from_utf8(body.0).ok()?;
        let mut parameters = body.split('&');
        let action = parameters.find_map(|parameter| parameter.strip_prefix("Action="));
        action?.to_owned()
    };
    Some(MotoRequest {
        access_key: access_key.to_owned(),
        action: format!("{service}:{action}"),
    })
}

/// Escapes a text for a form.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The text of the first element with this name.
fn element(xml: &str, name: &str) -> String {
    let text = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    let (text, _) = text.unwrap_or_else(|| panic!("no {name} in {xml}"));
    text.to_owned()
}
