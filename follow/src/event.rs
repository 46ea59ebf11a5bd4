/// What a follower is told. Everything is listed between `Init` and `InitDone`,
/// which may come again at any time: what was there before and was not listed
/// is gone.
#[derive(Clone, Debug)]
pub enum Event<K> {
    /// A list begins.
    Init,
    /// Is in the list.
    InitApply(K),
    /// That was all there was at this resource version.
    InitDone { version: String },
    /// Was made or changed.
    Apply(K),
    /// Was deleted.
    Delete(K),
}
