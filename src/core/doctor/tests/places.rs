//! What a summary says of a place without resources.

use super::*;
use crate::core::doctor::summary::Place;
use rstest::rstest;

#[rstest]
#[case(Place::Everywhere, None)]
#[case(Place::Namespace("team-a", Some(true)), None)]
#[case(Place::Namespace("team-a", None), None)]
#[case(
    Place::Namespace("team-x", Some(false)),
    Some("the namespace team-x doesn't exist")
)]
#[case(
    Place::Pool("eu-west-1_Typo"),
    Some("no resource names the pool eu-west-1_Typo")
)]
fn a_place_that_the_caller_perhaps_mistook_is_named(
    #[case] place: Place<'_>,
    #[case] words: Option<&str>,
) {
    let mut summary = Summary::new(&[], &around());
    assert!(summary.is_well());
    summary.nothing_in(place);
    assert_eq!(summary.is_well(), words.is_none());
    let said = summary.text(&Layout::plain(80), "there");
    assert!(said.contains(words.unwrap_or_default()), "{said}");
}
