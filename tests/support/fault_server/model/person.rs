//! What persons do in a pool, by the console or the command line of AWS. The operator calls none of this.

use serde_json::{Value, json};

use super::super::faults::Failure;
use super::super::operation::Operation;
use super::{Key, Model, Origin, User, refusal};

impl Model {
    /// `AdminGetUser`, `AdminEnableUser`, `AdminCreateUser` or `AdminDeleteUser`: the effect, and the body of the
    /// reply. Panics for another operation.
    pub(in super::super) fn person(
        &mut self,
        operation: Operation,
        key: &Key,
    ) -> Result<Value, Failure> {
        if operation == Operation::AdminCreateUser {
            return self.create_user(key);
        }
        let stored = self.pool(&key.pool)?.stored(&key.username);
        let stored = stored.unwrap_or(&key.username).to_owned();
        let user = self.find(key)?;
        match operation {
            Operation::AdminGetUser => Ok(described(&stored, user, "UserAttributes")),
            Operation::AdminEnableUser => {
                self.change(key, |user, at| user.set_enabled(true, at));
                Ok(json!({}))
            }
            Operation::AdminDeleteUser => {
                self.delete_user(key);
                Ok(json!({}))
            }
            other => panic!("{} is not a person's operation", other.name()),
        }
    }

    fn create_user(&mut self, key: &Key) -> Result<Value, Failure> {
        // A pool that doesn't exist is not made by this.
        self.pool(&key.pool)?;
        if self.user(key).is_some() {
            let message = "User account already exists";
            return Err(refusal("UsernameExistsException", message));
        }
        self.recreate_user(key, Origin::Administrator);
        let user = self.find(key)?;
        Ok(json!({ "User": described(&key.username, user, "Attributes") }))
    }
}

fn described(username: &str, user: &User, attributes: &str) -> Value {
    let state = user.state();
    json!({
        "Username": username,
        attributes: [{ "Name": "sub", "Value": state.sub }],
        "UserCreateDate": super::listing::seconds(state.created),
        "UserLastModifiedDate": super::listing::seconds(state.modified),
        "Enabled": state.enabled,
        "UserStatus": state.status.as_str(),
    })
}
