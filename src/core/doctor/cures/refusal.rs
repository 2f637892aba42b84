//! AWS's words about a refusal by IAM: who may not do what, on what.

/// An identity that IAM refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity<'a> {
    /// The name of a role. AWS's words leave the role's path out.
    Role(&'a str),
    /// The name of a user.
    User(&'a str),
}

/// A refusal by IAM, as far as AWS's words tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal<'a> {
    /// The partition, such as `aws`.
    pub partition: &'a str,
    /// The id of the identity's account.
    pub account: &'a str,
    /// Who is refused.
    pub identity: Identity<'a>,
    /// The refused action, such as `cognito-idp:AdminSetUserPassword`.
    pub action: &'a str,
    /// The ARN of what the action is refused on.
    pub resource: Option<&'a str>,
    /// Whether a policy denies the action, so that no further policy can allow it.
    pub is_denied: bool,
}

impl<'a> Refusal<'a> {
    /// Reads words such as `User: arn:aws:sts::111122223333:assumed-role/passwords/session is not authorized to
    /// perform: cognito-idp:AdminSetUserPassword on resource: ARN because ...`. None for other words.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (before, after) = text.split_once(" is not authorized to perform: ")?;
        let arn = before.rsplit(' ').next()?;
        let mut parts = arn.splitn(6, ':');
        let ("arn", partition, _, "", account, name) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        ) else {
            return None;
        };
        let identity = match name.split_once('/')? {
            ("assumed-role", rest) => Identity::Role(rest.split('/').next()?),
            ("user", path) => Identity::User(path.rsplit('/').next()?),
            _ => return None,
        };
        let first = |text: &'a str| {
            let word = text.split_whitespace().next()?;
            Some(word.trim_end_matches(['.', ',', ';', ':']))
        };
        let resource = after.split_once(" on resource: ");
        Some(Self {
            partition,
            account,
            identity,
            action: first(after)?,
            resource: resource.and_then(|(_, it)| first(it)),
            is_denied: after.contains("explicit deny") || after.contains("permissions boundary"),
        })
    }

    /// The ARN of this user pool, if the words have it.
    #[must_use]
    pub fn pool_arn(&self, pool: &str) -> Option<&'a str> {
        let resource = self.resource?;
        let (_, name) = resource.split_once(":userpool/")?;
        (name == pool).then_some(resource)
    }

    /// The ARN of the refused role, if the role has no path.
    #[must_use]
    pub fn role_arn(&self) -> Option<String> {
        match self.identity {
            Identity::Role(name) => Some(format!(
                "arn:{}:iam::{}:role/{name}",
                self.partition, self.account
            )),
            Identity::User(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const POOL: &str = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123";

    #[rstest]
    #[case::role(
        "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/passwords/* is not authorized to perform: cognito-idp:AdminSetUserPassword on resource: arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123 because no identity-based policy allows it",
        Identity::Role("passwords"),
        "cognito-idp:AdminSetUserPassword",
        Some(POOL),
        false
    )]
    #[case::without_resource(
        "User: arn:aws:sts::111122223333:assumed-role/passwords is not authorized to perform: cognito-idp:ListUsers.",
        Identity::Role("passwords"),
        "cognito-idp:ListUsers",
        None,
        false
    )]
    #[case::user(
        "User: arn:aws:iam::111122223333:user/ci/test is not authorized to perform: cognito-idp:ListUsers on resource: * with an explicit deny in a service control policy",
        Identity::User("test"),
        "cognito-idp:ListUsers",
        Some("*"),
        true
    )]
    fn the_words_name_the_identity_and_the_action(
        #[case] words: &str,
        #[case] identity: Identity<'_>,
        #[case] action: &str,
        #[case] resource: Option<&str>,
        #[case] is_denied: bool,
    ) {
        let refusal = Refusal {
            partition: "aws",
            account: "111122223333",
            identity,
            action,
            resource,
            is_denied,
        };
        assert_eq!(Refusal::parse(words), Some(refusal));
        let own = refusal.pool_arn("eu-west-1_AbCdEf123");
        assert_eq!(own, resource.filter(|it| *it == POOL));
        assert_eq!(refusal.pool_arn("eu-west-1_Other"), None);
    }

    #[rstest]
    #[case("")]
    #[case("The token is expired")]
    #[case("User: anonymous is not authorized to perform: sts:AssumeRole")]
    #[case("User: arn:aws:sts::1:federated-user is not authorized to perform: x")]
    fn other_words_name_nobody(#[case] words: &str) {
        assert_eq!(Refusal::parse(words), None);
    }

    #[test]
    fn a_role_without_a_path_has_an_arn() {
        let words = "User: arn:aws-cn:sts::111122223333:assumed-role/op/x is not authorized to perform: sts:AssumeRole on resource: arn:aws-cn:iam::444455556666:role/b";
        let arn = Refusal::parse(words).and_then(|it| it.role_arn());
        assert_eq!(arn.as_deref(), Some("arn:aws-cn:iam::111122223333:role/op"));
    }
}
