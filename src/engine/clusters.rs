//! Clusters as servers know them, and whether the servers of the environment are their members.

use super::observe::Asker;
use super::ports::SqlError;
use crate::diag::Refusal;
use crate::model::observed::HostWorld;

/// A member of a cluster, as one server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its cluster.
    pub cluster: String,
    /// `shard/replica host:port`.
    pub words: String,
    /// Name in the configuration.
    pub host_name: String,
    /// Address that the name stands for.
    pub address: String,
    /// Whether the server takes it for itself.
    pub is_local: bool,
}

/// One statement for all clusters.
const QUERY: &str = "SELECT cluster, shard_num, replica_num, host_name, host_address, port, is_local FROM system.clusters ORDER BY cluster, shard_num, replica_num";

/// The members of all clusters.
pub(super) async fn members(asker: &Asker<'_>) -> Result<Vec<Member>, SqlError> {
    let answer = asker.ask(QUERY).await?;
    let member = |row: usize| {
        let text = |column: &str| answer.text(row, column).unwrap_or_default();
        Member {
            cluster: text("cluster"),
            words: format!("{}/{} {}:{}", text("shard_num"), text("replica_num"), text("host_name"), text("port")),
            host_name: text("host_name"),
            address: text("host_address"),
            is_local: answer.number(row, "is_local") == Some(1),
        }
    };
    Ok((0..answer.rows.len()).map(member).collect())
}

/// Names of the clusters, each once.
pub(super) fn names(members: &[Member]) -> Vec<String> {
    let mut names: Vec<String> = members.iter().map(|member| member.cluster.clone()).collect();
    names.dedup();
    names
}

/// What the servers of a target say against each other: another list of members, or a server that is none of them.
/// Where no server can be told apart by its name, nothing is said.
pub(super) fn contradictions(cluster: &str, hosts: &[(HostWorld, Vec<Member>)]) -> Vec<Refusal> {
    let mut found = Vec::new();
    let evidence = |host: &HostWorld| format!("on {}: {}", host.name, super::observe::cluster_query(cluster));
    let Some((first, _)) = hosts.first() else { return found };
    for (host, _) in &hosts[1..] {
        if host.cluster_members != first.cluster_members {
            found.push(Refusal {
                what: format!("{} and {} do not mean the same cluster by `{cluster}`", first.name, host.name),
                expected: format!("the members that {} knows: {}", first.name, first.cluster_members.join(", ")),
                found: format!("{} knows {}", host.name, host.cluster_members.join(", ")),
                evidence: evidence(host),
                action: "correct the address of the host in the environment, or `remote_servers` of the servers"
                    .to_owned(),
            });
        }
    }
    if found.is_empty() && hosts.iter().any(|(host, members)| is_member(host, members)) {
        for (host, members) in hosts.iter().filter(|(host, members)| !is_member(host, members)) {
            let names: Vec<&str> = members.iter().map(|member| member.host_name.as_str()).collect();
            found.push(Refusal {
                what: format!("{} is no member of the cluster `{cluster}`", host.name),
                expected: format!("a server among {}", names.join(", ")),
                found: format!("{} at {}, which calls itself {}", host.name, host.url, host.identity.host_name),
                evidence: evidence(host),
                action: "correct the address of this host in the environment".to_owned(),
            });
        }
    }
    found
}

/// By the server's own word, or by one of its names.
fn is_member(host: &HostWorld, members: &[Member]) -> bool {
    let address = host.url.split("://").last().unwrap_or_default();
    let address = address.split(['/', '?']).next().unwrap_or_default();
    let address = address.rsplit_once(':').map_or(address, |(name, _)| name).trim_matches(['[', ']']);
    let own = [address, host.name.as_str(), host.identity.host_name.as_str()];
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_number = |name: &str| name.parse::<std::net::IpAddr>().is_ok();
    members.iter().any(|member| {
        member.is_local
            || own.iter().filter(|name| !name.is_empty()).any(|name| {
                name.eq_ignore_ascii_case(&member.host_name)
                    || **name == member.address
                    || (!is_number(name) && !is_number(&member.host_name) && short(name) == short(&member.host_name))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, url: &str, members: &[(&str, bool)]) -> (HostWorld, Vec<Member>) {
        let members: Vec<Member> = members
            .iter()
            .map(|(name, is_local)| Member {
                cluster: "c".into(),
                words: format!("1/1 {name}:9000"),
                host_name: (*name).into(),
                address: String::new(),
                is_local: *is_local,
            })
            .collect();
        let mut host = HostWorld { name: name.into(), url: url.into(), ..HostWorld::default() };
        host.cluster_members = members.iter().map(|member| member.words.clone()).collect();
        (host, members)
    }

    fn said(hosts: &[(HostWorld, Vec<Member>)]) -> Vec<String> {
        contradictions("c", hosts).into_iter().map(|refusal| refusal.what).collect()
    }

    #[test]
    fn a_server_that_is_no_member_is_named() {
        let names = [("ch-0", false), ("ch-1", false)];
        let right = host("one", "http://ch-0.internal:8123", &names);
        assert!(said(&[right.clone(), host("two", "https://ch-1:8443", &names)]).is_empty());
        assert_eq!(
            said(&[right.clone(), host("two", "http://other:8123", &names)]),
            ["two is no member of the cluster `c`"]
        );
        let own_word = [("ch-0", false), ("ch-1", true)];
        assert!(said(&[right.clone(), host("two", "http://127.0.0.1:1", &own_word)]).is_empty());
        // Behind other names for all of them nobody can tell.
        assert!(said(&[host("a", "http://x:1", &names), host("b", "http://y:1", &names)]).is_empty());
        let elsewhere = [("ch-0", false), ("ch-9", false)];
        assert_eq!(
            said(&[right, host("two", "http://ch-9:1", &elsewhere)]),
            ["one and two do not mean the same cluster by `c`"]
        );
    }
}
