//! Components in wasmtime: one Store a call, dropped after it. The engine and its rules are
//! `slipway-engine`'s.

pub mod component;
pub mod execute;
pub mod fault;
pub mod inspect;
pub mod state;
pub mod stdio;
pub mod wit;
