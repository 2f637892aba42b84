use super::*;
use crate::core::look::user::UserState;
use proptest::prelude::*;
use rstest::rstest;

const SUB: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

fn user(name: &str, sub: &str) -> User {
    User {
        username: name.to_owned(),
        sub: Some(sub.to_owned()),
        state: UserState::Confirmed,
        enabled: true,
        created: None,
        modified: None,
    }
}

fn wanted(name: &str) -> Wanted<String> {
    Wanted {
        key: name.to_owned(),
        name: name.into(),
        found_as: None,
    }
}

/// A pool that lists its users in order, `page` at a time.
struct Pool {
    users: Vec<User>,
    page: usize,
}

impl Pool {
    fn of(count: usize, page: usize) -> Self {
        let users = (0..count).map(|number| user(&format!("user-{number}"), &number.to_string()));
        let users = users.collect();
        Self { users, page }
    }

    fn answer(&self, query: &UserQuery) -> UserPage {
        let fits = |user: &&User| match &query.filter {
            UserFilter::All => true,
            UserFilter::Username(name) => user.username == *name,
            UserFilter::Sub(sub) => user.sub.as_ref() == Some(sub),
        };
        let from: usize = query
            .token
            .as_ref()
            .map_or(0, |it| it.parse().expect("a token"));
        let all: Vec<_> = self.users.iter().filter(fits).cloned().collect();
        let to = (from + self.page).min(all.len());
        UserPage {
            users: all[from.min(to)..to].to_vec(),
            next_token: (to < all.len()).then(|| to.to_string()),
        }
    }

    /// Runs the pass. Returns what was found and the number of calls.
    fn sweep(&self, sweep: &mut Sweep<String>) -> (Vec<(Wanted<String>, Found, LookKind)>, usize) {
        let (mut found, mut calls) = (Vec::new(), 0);
        while let Some(query) = sweep.next() {
            calls += 1;
            assert!(calls < 100_000, "the pass does not end");
            found.extend(sweep.answered(self.answer(&query)));
        }
        assert_eq!(sweep.rest().count(), 0);
        (found, calls)
    }
}

/// Every n-th user of the pool is wanted.
fn some_of(pool: &Pool, every: usize) -> Vec<Wanted<String>> {
    let names = pool.users.iter().step_by(every);
    names.map(|user| wanted(&user.username)).collect()
}

#[rstest]
// 10,000 users that are all wanted: 167 pages.
#[case::own_pool(10_000, 1, 167, 167)]
// Three users of a big pool: three pages and three lookups at first, then three lookups.
#[case::few_of_many(60_000, 20_000, 6, 3)]
#[case::one_of_one_page(50, 50, 1, 1)]
#[case::ten_of_a_thousand(1_000, 100, 20, 10)]
fn a_pass_costs_about_twice_the_cheaper_way_at_first_and_then_the_cheaper_way(
    #[case] users: usize,
    #[case] every: usize,
    #[case] first: usize,
    #[case] next: usize,
) {
    let pool = Pool::of(users, 60);
    let mut sweep = Sweep::new(some_of(&pool, every), Habit::default());
    let (found, calls) = pool.sweep(&mut sweep);
    assert_eq!(found.len(), users.div_ceil(every));
    assert!(calls <= first, "{calls} calls");
    let mut again = Sweep::new(some_of(&pool, every), sweep.habit());
    let (found, calls) = pool.sweep(&mut again);
    assert_eq!(found.len(), users.div_ceil(every));
    assert!(calls <= next, "{calls} calls");
}

#[test]
fn lookups_are_given_up_for_pages_once_twice_as_many_users_are_wanted() {
    let pool = Pool::of(6_000, 60);
    let mut sweep = Sweep::new(some_of(&pool, 1_000), Habit::default());
    pool.sweep(&mut sweep);
    assert_eq!(sweep.habit(), Habit::Lookups { wanted: 6 });
    let mut all = Sweep::new(some_of(&pool, 1), sweep.habit());
    assert_eq!(pool.sweep(&mut all).1, 100);
    assert_eq!(all.habit(), Habit::Pages);
}

#[test]
fn only_a_lookup_says_that_a_user_is_not_there() {
    let pool = Pool::of(100, 60);
    let mut sweep = Sweep::new(vec![wanted("nobody"), wanted("user-3")], Habit::default());
    let (found, _) = pool.sweep(&mut sweep);
    let kinds: Vec<_> = found
        .iter()
        .map(|(key, found, kind)| (key.key.as_str(), found == &Found::NotFound, *kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("user-3", false, LookKind::Sweep),
            ("nobody", true, LookKind::Lookup)
        ]
    );
}

#[rstest]
#[case::as_it_is("bot", "bot")]
#[case::in_lower_case("CI-Bot", "ci-bot")]
#[case::by_sub(SUB, "somebody")]
#[case::by_sub_in_upper_case("0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0", "somebody")]
fn a_lookup_finds_a_user_by_each_spelling_and_then_first_by_the_one_that_found(
    #[case] name: &str,
    #[case] stored: &str,
) {
    let pool = Pool {
        users: vec![user("other", "1"), user(stored, SUB)],
        page: 60,
    };
    let mut sweep = Sweep::of_one(wanted(name));
    let (found, _) = pool.sweep(&mut sweep);
    let [(_, Found::User(user), LookKind::Lookup)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(user.username, stored);
    let known = Wanted {
        found_as: (stored != name).then(|| stored.into()),
        ..wanted(name)
    };
    assert_eq!(pool.sweep(&mut Sweep::of_one(known)).1, 1);
}

#[test]
fn an_exact_name_comes_before_another_case() {
    let pool = Pool {
        users: vec![user("bot", "1"), user("Bot", "2")],
        page: 60,
    };
    for mut sweep in [
        Sweep::of_one(wanted("Bot")),
        Sweep::new(vec![wanted("Bot")], Habit::default()),
    ] {
        let (found, _) = pool.sweep(&mut sweep);
        let [(_, Found::User(user), _)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(user.username, "Bot");
    }
}

#[test]
fn an_empty_page_with_a_token_proves_nothing() {
    let mut sweep = Sweep::of_one(wanted("bot"));
    let empty = || UserPage {
        users: Vec::new(),
        next_token: Some("more".to_owned()),
    };
    let mut calls = 0;
    while sweep.next().is_some() {
        calls += 1;
        assert_eq!(sweep.answered(empty()), []);
    }
    assert_eq!(calls, 5);
}

#[test]
fn a_lookup_that_fails_leaves_the_others() {
    let pool = Pool::of(2, 60);
    let habit = Habit::Lookups { wanted: 10 };
    let mut sweep = Sweep::new(some_of(&pool, 1), habit);
    assert_eq!(sweep.failed(), ["user-0"]);
    let (found, calls) = pool.sweep(&mut sweep);
    assert_eq!((found.len(), calls), (1, 1));
    let mut pages = Sweep::new(some_of(&pool, 1), Habit::default());
    assert_eq!(pages.failed(), ["user-0", "user-1"]);
    assert_eq!(pages.next(), None);
}

proptest! {
    #[test]
    fn every_user_is_found_at_about_twice_the_cheaper_cost(
        users in 1_usize..3_000,
        every in 1_usize..500,
        page in 1_usize..=60,
    ) {
        let pool = Pool::of(users, page);
        let mut habit = Habit::default();
        let wanted = users.div_ceil(every);
        let pages = users.div_ceil(page);
        for _ in 0..3 {
            let mut sweep = Sweep::new(some_of(&pool, every), habit);
            let (found, calls) = pool.sweep(&mut sweep);
            prop_assert_eq!(found.len(), wanted);
            prop_assert!(calls <= 2 * wanted.min(pages).max(1), "{} calls", calls);
            habit = sweep.habit();
        }
    }
}
