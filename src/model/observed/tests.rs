use super::*;

#[test]
fn only_what_is_wrong_with_a_replication_is_told() {
    let well = ReplicationState { active_replicas: 2, ..ReplicationState::default() };
    let told = |state: ReplicationState, total| state.troubles(total).join(", ");
    assert_eq!(told(well, Some(2)), "");
    assert_eq!(told(ReplicationState { lost_parts: Some(0), ..well }, Some(2)), "");
    // A version that does not tell how many there are.
    assert_eq!(told(well, None), "");
    for (state, expected) in [
        (ReplicationState { active_replicas: 1, ..well }, "1 of 2 replicas active"),
        (ReplicationState { active_replicas: 0, ..well }, "0 of 2 replicas active"),
        (ReplicationState { active_replicas: 3, ..well }, "3 of 2 replicas active"),
        (ReplicationState { queue_size: 3, ..well }, "queue 3"),
        (ReplicationState { absolute_delay: 61, ..well }, "61 s behind"),
        (ReplicationState { is_session_expired: true, ..well }, "session with Keeper expired"),
        (ReplicationState { lost_parts: Some(1), ..well }, "1 part lost"),
        (ReplicationState { lost_parts: Some(1200), ..well }, "1 200 parts lost"),
    ] {
        assert_eq!(told(state, Some(2)), expected);
    }
    let all = ReplicationState {
        active_replicas: 1,
        queue_size: 7,
        absolute_delay: 9,
        is_session_expired: true,
        lost_parts: Some(2),
    };
    assert_eq!(
        told(all, Some(2)),
        "1 of 2 replicas active, queue 7, 9 s behind, session with Keeper expired, 2 parts lost"
    );
}
