//! The protocol of a set, held against a model of the world around it: Cognito, the API server, two
//! processes of the operator, and everything that can go wrong between them. No network, no sleeps:
//! the clock is a number. `PROTOCOL_CASES` asks for more random lives than the usual ones,
//! `PROTOCOL_SEED` for others, `PROTOCOL_DEPTH` for longer branches of the exhaustive search.

mod checks;
mod cluster;
mod cognito;
mod exhaustive;
mod forged;
mod kstatus;
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
mod table_duplicate;
mod table_forged;
mod table_grants;
mod table_request;
mod table_suspend;
mod table_temporary;
mod table_verified;
mod table_wait;
mod world;
