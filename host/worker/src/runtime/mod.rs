//! Components in wasmtime: one engine, one Store a call, dropped after it.

pub mod component;
pub mod engine;
pub mod execute;
pub mod fault;
pub mod inspect;
pub mod limits;
pub mod state;
pub mod stdio;
pub mod wit;
