//! The daemon side of obnova-helper.
