//! `ListUsers`: filters, pages and tokens. A page costs as much as its users, whatever the pool's size.

use std::fmt::Write;
use std::ops::Bound;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::faults::Failure;
use super::pool::{Pool, Slot};
use super::refusal;
use super::user::UserState;

/// The most users of a page, in Cognito.
const LARGEST_PAGE: usize = 60;

/// How `ListUsers` answers for a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The most users of a page, whatever the request's limit: short pages with a token.
    pub(crate) page_size: usize,
    /// So many pages without users, but with a token, come before each other page and each lookup's answer.
    pub(crate) empty_pages: usize,
    /// The pool changes while it is read: each page after the first begins this many users late, so that
    /// these users are on no page. A negative number: so many users early; these users are on two pages.
    pub(crate) shift: isize,
    /// Every answer shows the users of so long ago. Applies to changes from now on. A user of `add_user` has
    /// always been there.
    pub(crate) lag: Duration,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            page_size: LARGEST_PAGE,
            empty_pages: 0,
            shift: 0,
            lag: Duration::ZERO,
        }
    }
}

/// A request for a page or for one user.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) pool: String,
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
    pub(crate) position: Position,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    Username(String),
    Sub(String),
}

/// Where a page begins: the content of a `PaginationToken`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of empty pages since the last page that was not empty.
    empty_pages: usize,
    /// The last username so far.
    after: Option<String>,
}

impl Position {
    /// A token that does not show what it contains.
    fn token(&self) -> String {
        let after = self.after.as_deref();
        let text = json!([self.empty_pages, after]).to_string();
        text.bytes().fold(String::new(), |mut token, byte| {
            write!(token, "{byte:02x}").expect("a String takes everything");
            token
        })
    }

    pub(crate) fn parse(token: &str) -> Result<Self, Failure> {
        let invalid = || refusal("InvalidParameterException", "Invalid pagination token.");
        let digits: Option<Vec<_>> = token.chars().map(|digit| digit.to_digit(16)).collect();
        let pairs = digits.ok_or_else(invalid)?;
        let bytes = pairs
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit))
            .map(u8::try_from)
            .collect::<Result<Vec<u8>, _>>();
        let bytes = bytes.map_err(|_| invalid())?;
        let (empty_pages, after) = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        Ok(Self { empty_pages, after })
    }
}

/// A filter: `username = "..."` or `sub = "..."`. A backslash stands before quotes and backslashes in the
/// value.
pub(crate) fn parse_filter(filter: &str) -> Result<Filter, Failure> {
    let invalid = || {
        let message = format!("Error while parsing filter: {filter}");
        refusal("InvalidParameterException", &message)
    };
    if filter.trim().is_empty() {
        return Ok(Filter::None);
    }
    let (attribute, value) = filter.split_once('=').ok_or_else(invalid)?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').ok_or_else(invalid)?;
    let value = unescaped(quoted).ok_or_else(invalid)?;
    match attribute.trim() {
        "username" => Ok(Filter::Username(value)),
        "sub" => Ok(Filter::Sub(value)),
        _ => Err(invalid()),
    }
}

/// The text up to the closing quote, which is the last character.
fn unescaped(quoted: &str) -> Option<String> {
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(value),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => value.push(escaped),
                _ => return None,
            },
            other => value.push(other),
        }
    }
}

impl Pool {
    pub(super) fn list(&self, listed: &Listed, now: Instant) -> Value {
        let position = &listed.position;
        if position.empty_pages < self.listing.empty_pages {
            let next = Position {
                empty_pages: position.empty_pages + 1,
                after: position.after.clone(),
            };
            return answer(&[], Some(&next));
        }
        match &listed.filter {
            Filter::None => self.page(listed, now),
            Filter::Username(username) => {
                let slot = self.slots.get_key_value(username);
                answer(self.listed(slot, now).as_slice(), None)
            }
            Filter::Sub(sub) => {
                let username = self.subs.get(sub);
                let slot = username.and_then(|username| self.slots.get_key_value(username));
                let user = self
                    .listed(slot, now)
                    .filter(|(_, state)| state.sub == *sub);
                answer(user.as_slice(), None)
            }
        }
    }

    fn page(&self, listed: &Listed, now: Instant) -> Value {
        let size = listed.limit.min(self.listing.page_size);
        let (begin, skipped) = self.begin(listed.position.after.as_deref(), size, now);
        let range = self.slots.range::<str, _>((begin, Bound::Unbounded));
        let mut users = range
            .filter_map(|slot| self.listed(Some(slot), now))
            .skip(skipped);
        let page: Vec<_> = users.by_ref().take(size).collect();
        let next = page.last().map(|(username, _)| Position {
            empty_pages: 0,
            after: Some((*username).to_owned()),
        });
        let next = next.filter(|_| users.next().is_some());
        answer(&page, next.as_ref())
    }

    /// Where the page begins, and how many users from there are on no page.
    fn begin<'a>(
        &'a self,
        after: Option<&'a str>,
        size: usize,
        now: Instant,
    ) -> (Bound<&'a str>, usize) {
        let Some(after) = after else {
            return (Bound::Unbounded, 0);
        };
        let shift = self.listing.shift;
        if shift >= 0 {
            return (Bound::Excluded(after), shift.unsigned_abs());
        }
        // Less than a page, so that the next page still ends later than this one.
        let early = shift.unsigned_abs().min(size.saturating_sub(1));
        let range = (Bound::Unbounded, Bound::Included(after));
        let earlier = self.slots.range::<str, _>(range).rev();
        let mut earlier = earlier.filter_map(|slot| self.listed(Some(slot), now));
        match early.checked_sub(1).and_then(|early| earlier.nth(early)) {
            Some((username, _)) => (Bound::Included(username), 0),
            None => (Bound::Excluded(after), 0),
        }
    }

    fn listed<'a>(
        &self,
        slot: Option<(&'a String, &'a Slot)>,
        now: Instant,
    ) -> Option<(&'a str, &'a UserState)> {
        let (username, slot) = slot?;
        Some((username, slot.listed(now, self.listing.lag)?))
    }
}

fn answer(users: &[(&str, &UserState)], next: Option<&Position>) -> Value {
    let users: Vec<_> = users.iter().map(row).collect();
    let mut answer = json!({ "Users": users });
    if let Some(next) = next {
        answer["PaginationToken"] = json!(next.token());
    }
    answer
}

fn row((username, state): &(&str, &UserState)) -> Value {
    json!({
        "Username": username,
        "Attributes": [{ "Name": "sub", "Value": state.sub }],
        "UserCreateDate": seconds(state.created),
        "UserLastModifiedDate": seconds(state.modified),
        "Enabled": state.enabled,
        "UserStatus": state.status.as_str(),
    })
}

/// Seconds since 1970, with milliseconds as Cognito has them.
pub(super) fn seconds(date: Timestamp) -> f64 {
    SignedDuration::from_millis(date.as_millisecond()).as_secs_f64()
}
