//! Hostile input everywhere (`tests/corpus`, one file a kind): at every route, at every verb, and in
//! what programs print. Whatever comes, the answer is one of those that are documented, what is legal
//! is kept to the last byte, and everybody goes on living.

mod client;
mod corpus;
mod fuzz;
mod places;
mod routes;
mod scene;
mod texts;
mod verbs;
mod wire;
mod workers;
