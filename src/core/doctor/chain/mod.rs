//! The chain: what must be well for one resource, link by link. Each link is one finding, and the reason that the
//! operator gives a resource whose link is broken there.

pub mod duplicate;
pub mod grant;
pub mod operator;
pub mod record;
pub mod resource;
mod rights;
mod rivals;
pub mod secret;
pub mod user;

use super::{
    facts::{FoundSecret, Surroundings},
    link::Link,
    subject::Subject,
};
use crate::core::checkup::seen::Seen;

/// The links of a resource, from the resource itself to the user. `secret` is None where the Secret was not
/// looked at.
#[must_use]
pub fn chain(
    subject: &Subject<'_>,
    secret: Option<&Seen<Option<FoundSecret>>>,
    around: &Surroundings,
) -> Vec<Link> {
    let admission = grant::Admissions::new(around).of(subject);
    let mut links = vec![
        resource::link(subject, around.now),
        grant::link(subject, &admission, around),
        duplicate::link(subject, around),
    ];
    links.extend(secret.map(|secret| secret::link(subject, secret)));
    let found = secret.and_then(Seen::known).and_then(Option::as_ref);
    links.push(record::link(subject, found, around.now));
    links.extend(operator::links(subject, around));
    links.push(user::link(subject, around));
    links
}
