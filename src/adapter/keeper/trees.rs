//! Lists and subtrees: few nodes through the client, many through a session of their own.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};

use super::many::{Ask, Each, ManyReader, data, names};
use super::{SESSION_TIMEOUT, ZooKeeper, clean, join};
use crate::engine::ports::{EachChildren, Keeper, KeeperError, KeeperNode, SkipNode};

/// From this number of nodes on a session of its own takes less time than to ask one by one.
const MANY: usize = 200;
/// Requests on their way at the same time where fewer are read.
const PARALLEL: usize = 64;

/// The session for many nodes, made when it is needed first.
#[derive(Default)]
struct Lent {
    reader: Option<ManyReader>,
    /// It could not be made, or got no answer.
    is_useless: bool,
}

impl Lent {
    async fn close(self) {
        if let Some(reader) = self.reader {
            reader.close().await;
        }
    }
}

impl ZooKeeper {
    pub(super) async fn list(&self, paths: &[String], each: &mut EachChildren<'_>) -> Result<(), KeeperError> {
        let mut lent = Lent::default();
        let listed = self.list_through(&mut lent, paths, each).await;
        lent.close().await;
        listed
    }

    pub(super) async fn trees(&self, paths: &[String], skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError> {
        let mut lent = Lent::default();
        let read = self.trees_through(&mut lent, paths, skips).await;
        lent.close().await;
        read
    }

    async fn trees_through(
        &self,
        lent: &mut Lent,
        paths: &[String],
        skips: &SkipNode<'_>,
    ) -> Result<Vec<KeeperNode>, KeeperError> {
        let mut all = Vec::new();
        let mut level: Vec<String> = paths.iter().map(|path| clean(path).to_owned()).collect();
        while !level.is_empty() {
            // Whatever vanished between its parent's listing and its own reading is left out.
            let mut nodes = self.nodes_through(lent, level).await?;
            let parents: Vec<usize> = (0..nodes.len()).filter(|at| has_children(nodes.get(*at))).collect();
            let above: Vec<String> =
                parents.iter().filter_map(|at| Some(nodes.get(*at)?.as_ref()?.path.clone())).collect();
            let mut next = Vec::new();
            let mut vanished = Vec::new();
            let each: &mut EachChildren<'_> = &mut |at, names| match (above.get(at), names) {
                (Some(path), Some(names)) => {
                    next.extend(names.iter().map(|name| join(path, name)).filter(|path| !skips(path)));
                }
                _ => vanished.extend(parents.get(at).copied()),
            };
            self.list_through(lent, &above, each).await?;
            for at in vanished {
                nodes.get_mut(at).map(Option::take);
            }
            all.extend(nodes.into_iter().flatten());
            level = next;
        }
        Ok(all)
    }

    async fn nodes_through(&self, lent: &mut Lent, paths: Vec<String>) -> Result<Vec<Option<KeeperNode>>, KeeperError> {
        let mut nodes: Vec<Option<KeeperNode>> = Vec::with_capacity(paths.len());
        let each: &mut Each<'_> = &mut |at, body| {
            let read = body.map(data).transpose()?;
            nodes.push(read.zip(paths.get(at)).map(|((value, stat), path)| KeeperNode {
                path: path.clone(),
                value,
                stat,
            }));
            Ok(())
        };
        let answered = self.many(lent, Ask::Data, &paths, each).await;
        let rest = paths.get(answered..).unwrap_or_default().to_vec();
        let mut asked = stream::iter(rest).map(|path| async move { self.get(&path).await }).buffered(PARALLEL);
        while let Some(node) = asked.next().await {
            nodes.push(node?);
        }
        Ok(nodes)
    }

    async fn list_through(
        &self,
        lent: &mut Lent,
        paths: &[String],
        each: &mut EachChildren<'_>,
    ) -> Result<(), KeeperError> {
        let of_body: &mut Each<'_> = &mut |at, body| {
            each(at, body.map(names).transpose()?.as_deref());
            Ok(())
        };
        let answered = self.many(lent, Ask::Children, paths, of_body).await;
        let rest = paths.get(answered..).unwrap_or_default().to_vec();
        let asked = stream::iter(rest).map(|path| async move { self.children(&path).await });
        let mut asked = asked.buffered(PARALLEL).enumerate();
        while let Some((at, names)) = asked.next().await {
            let names = names?;
            let names = names.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
            each(answered + at, names.as_deref());
        }
        Ok(())
    }

    /// Asks for many nodes through the session for these, again after a lost connection while it gets further. Returns how
    /// many were answered: the client, which has more patience and better words, is asked for the rest.
    async fn many(&self, lent: &mut Lent, ask: Ask, paths: &[String], each: &mut Each<'_>) -> usize {
        let mut answered = 0;
        if paths.len() < MANY || lent.is_useless {
            return answered;
        }
        let paths: Vec<String> = paths.iter().map(|path| self.rooted(path)).collect();
        while let Some(open) = paths.get(answered..).filter(|open| !open.is_empty()) {
            let is_new = lent.reader.is_none();
            let reader = match lent.reader.take() {
                Some(reader) => Some(reader),
                None => self.many_reader().await,
            };
            let Some(mut reader) = reader else { break };
            let before = answered;
            let of_open: &mut Each<'_> = &mut |at, body| {
                each(before + at, body)?;
                answered = before + at + 1;
                Ok(())
            };
            match reader.ask(ask, open, of_open).await {
                Ok(()) => lent.reader = Some(reader),
                // A session that was made before may be over by now.
                Err(_) if answered > before || !is_new => {}
                Err(_) => {
                    // Not this server first again.
                    self.answering.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        lent.is_useless = answered < paths.len();
        answered
    }

    async fn many_reader(&self) -> Option<ManyReader> {
        let first = self.answering.load(Ordering::Relaxed) % self.hosts.len().max(1);
        for (at, host) in self.hosts.iter().enumerate().cycle().skip(first).take(self.hosts.len()) {
            if let Ok(reader) = ManyReader::connect(host, SESSION_TIMEOUT).await {
                self.answering.store(at, Ordering::Relaxed);
                return Some(reader);
            }
        }
        None
    }

    /// A path as the servers of the ensemble have it.
    fn rooted(&self, path: &str) -> String {
        match clean(path) {
            "/" if !self.root.is_empty() => self.root.clone(),
            path => format!("{}{path}", self.root),
        }
    }
}

fn has_children(node: Option<&Option<KeeperNode>>) -> bool {
    node.and_then(Option::as_ref).is_some_and(|node| node.stat.children > 0)
}
