//! The protocol of a set, tested against a model of its environment: Cognito, the API server, two processes
//! of the operator, and every fault between them. There is no network and no sleep: the clock is a number.
//! `PROTOCOL_CASES` asks for more random lives, `PROTOCOL_SEED` for other lives, `PROTOCOL_DEPTH` for longer
//! branches of the exhaustive search.

mod checks;
mod cluster;
mod cognito;
mod exhaustive;
mod forged;
mod kstatus;
mod looks;
mod process;
mod properties;
mod record;
mod scene;
mod stories;
mod stories_keys;
mod stories_temporary;
mod table;
mod table_budget;
mod table_clocks;
mod table_conclude;
mod table_corrections;
mod table_duplicate;
mod table_forged;
mod table_grants;
mod table_guard;
mod table_looks;
mod table_request;
mod table_sign_out;
mod table_suspend;
mod table_temporary;
mod table_verified;
mod table_wait;
mod world;
