//! Against real programs of other people. Compiled in by the feature `peers`; a peer that is lacking fails its tests.

mod desktop;
mod install;
mod units;
