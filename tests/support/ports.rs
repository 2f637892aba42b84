//! Ports to listen on.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use super::process::lock;

/// Below the range for outgoing connections (32768 and up): a server that an outage test stops must find its
/// port free at its restart.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A free loopback port; this process never gets the same port twice.
pub(crate) fn free_port() -> u16 {
    let mut given = lock(&GIVEN);
    let given = given.get_or_insert_default();
    for _ in 0..1000 {
        // Random, so that concurrent test processes don't try the same ports.
        let random = getrandom::u32().expect("the system has randomness");
        let port = u16::try_from(FIRST + random % COUNT).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
    panic!(
        "no free loopback port between {FIRST} and {}",
        FIRST + COUNT
    );
}
