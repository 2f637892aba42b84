//! The requests of each operation: the body, and the effect on the model.

use serde_json::{Map, Value, json};

use super::faults::Failure;
use super::model::{Filter, Key, Listed, Model, Position, parse_filter, refusal};
use super::operation::Operation;
use super::record::Subject;

/// A request that the server can answer.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Set {
        key: Key,
        password: String,
        permanent: bool,
    },
    List {
        listed: Listed,
        is_first: bool,
    },
    SignOut(Key),
    Describe {
        pool: String,
    },
    /// A person's operation on a user.
    Person {
        operation: Operation,
        key: Key,
    },
}

/// What the record shows of a request.
pub(super) enum Entry<'a> {
    Set {
        key: &'a Key,
        password: &'a str,
        permanent: bool,
    },
    Other {
        pool: &'a str,
        subject: Subject,
    },
}

impl Asked {
    /// The request, or Cognito's refusal of a body that is not a request of this operation.
    pub(super) fn parse(operation: Operation, body: &[u8]) -> Result<Self, Failure> {
        let fields: Map<_, _> = serde_json::from_slice(body).map_err(|_| malformed())?;
        let text = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.ok_or_else(malformed)
        };
        let pool = text("UserPoolId")?;
        let key = || -> Result<Key, Failure> { Ok(Key::new(pool, text("Username")?)) };
        match operation {
            Operation::AdminSetUserPassword => Ok(Self::Set {
                key: key()?,
                password: text("Password")?.to_owned(),
                permanent: fields.get("Permanent").and_then(Value::as_bool) == Some(true),
            }),
            Operation::ListUsers => {
                let (listed, is_first) = list(pool, &fields)?;
                Ok(Self::List { listed, is_first })
            }
            Operation::AdminUserGlobalSignOut => key().map(Self::SignOut),
            Operation::DescribeUserPool => Ok(Self::Describe {
                pool: pool.to_owned(),
            }),
            Operation::AdminGetUser
            | Operation::AdminEnableUser
            | Operation::AdminCreateUser
            | Operation::AdminDeleteUser => Ok(Self::Person {
                operation,
                key: key()?,
            }),
        }
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Set { .. } => Operation::AdminSetUserPassword,
            Self::List { .. } => Operation::ListUsers,
            Self::SignOut(_) => Operation::AdminUserGlobalSignOut,
            Self::Describe { .. } => Operation::DescribeUserPool,
            Self::Person { operation, .. } => *operation,
        }
    }

    /// Whose faults apply. The username is a lookup's username or sub, or empty for requests about no user.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Set { key, .. } | Self::SignOut(key) | Self::Person { key, .. } => key.clone(),
            Self::List { listed, .. } => {
                let username = match &listed.filter {
                    Filter::None => "",
                    Filter::Username(name) | Filter::Sub(name) => name,
                };
                Key::new(&listed.pool, username)
            }
            Self::Describe { pool } => Key::new(pool, ""),
        }
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        let other = |pool, subject| Entry::Other { pool, subject };
        match self {
            Self::Set {
                key,
                password,
                permanent,
            } => Entry::Set {
                key,
                password,
                permanent: *permanent,
            },
            Self::List { listed, is_first } => {
                let subject = match &listed.filter {
                    Filter::None => Subject::Page {
                        is_first: *is_first,
                    },
                    Filter::Username(username) => Subject::Username(username.clone()),
                    Filter::Sub(sub) => Subject::Sub(sub.clone()),
                };
                other(&listed.pool, subject)
            }
            Self::SignOut(key) => other(&key.pool, Subject::SignOut(key.username.clone())),
            Self::Describe { pool } => other(pool, Subject::Pool),
            Self::Person { key, .. } => other(&key.pool, Subject::User(key.username.clone())),
        }
    }

    /// The effect on the model, and the answer: the body of the reply.
    pub(super) fn apply(&self, model: &mut Model) -> Result<Value, Failure> {
        match self {
            Self::Set {
                key,
                password,
                permanent,
            } => model.set(key, password, *permanent).map(|()| json!({})),
            Self::List { listed, .. } => model.list(listed),
            Self::SignOut(key) => model.sign_out(key).map(|()| json!({})),
            Self::Describe { pool } => model.describe(pool),
            Self::Person { operation, key } => model.person(*operation, key),
        }
    }
}

/// The request of `ListUsers`, and whether this is its first page. Refuses requests for more attributes than
/// `sub`: a request without `AttributesToGet` asks for all attributes.
fn list(pool: &str, fields: &Map<String, Value>) -> Result<(Listed, bool), Failure> {
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(&**text)),
        Some(_) => Err(malformed()),
    };
    if fields.get("AttributesToGet") != Some(&json!(["sub"])) {
        let message =
            "The fault server returns the attribute sub, and refuses every other request.";
        return Err(invalid(message));
    }
    let limit = match fields.get("Limit") {
        None | Some(Value::Null) => 60,
        Some(limit) => limit.as_u64().ok_or_else(malformed)?,
    };
    if limit > 60 {
        return Err(invalid(&format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
             Member must have value less than or equal to 60"
        )));
    }
    let token = text("PaginationToken")?;
    let listed = Listed {
        pool: pool.to_owned(),
        filter: parse_filter(text("Filter")?.unwrap_or_default())?,
        limit: usize::try_from(limit).expect("at most 60"),
        position: token.map_or_else(|| Ok(Position::default()), Position::parse)?,
    };
    Ok((listed, token.is_none()))
}

fn invalid(message: &str) -> Failure {
    refusal("InvalidParameterException", message)
}

fn malformed() -> Failure {
    let message = "Start of structure or map found where not expected.";
    refusal("SerializationException", message)
}
