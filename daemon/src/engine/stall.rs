//! A test may let the engine stall, to see that somebody notices: only in builds with debug assertions, and only if asked to.

/// Never ends if the file exists that `OBNOVA_STALL` names; it is removed, so that the next engine runs.
#[cfg(debug_assertions)]
pub(super) async fn if_asked() {
    if std::env::var_os("OBNOVA_STALL").is_some_and(|path| std::fs::remove_file(path).is_ok()) {
        std::future::pending::<()>().await;
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn if_asked() -> std::future::Ready<()> {
    std::future::ready(())
}
