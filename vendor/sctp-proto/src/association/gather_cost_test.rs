//! What a packet costs must not depend on how much is in flight.

use super::*;

const PAYLOAD: usize = 4;

/// An association with `in_flight` chunks sent and not acknowledged.
fn sending(in_flight: usize, timed: bool, now: Instant) -> Association {
    let mut a = Association {
        state: AssociationState::Established,
        use_forward_tsn: true,
        my_next_tsn: u32::MAX - 5,
        cumulative_tsn_ack_point: u32::MAX - 6,
        advanced_peer_tsn_ack_point: u32::MAX - 6,
        max_send_message_size: 1 << 20,
        max_receive_message_size: 1 << 20,
        max_payload_size: PAYLOAD as u32,
        cwnd: 1 << 20,
        rwnd: 1 << 20,
        mtu: 40,
        ..Default::default()
    };
    a.create_stream(1, false, PayloadProtocolIdentifier::Binary)
        .unwrap();
    let mut stream = a.stream(1).unwrap();
    if timed {
        stream
            .set_reliability_params(false, ReliabilityType::Timed, 1000)
            .unwrap();
    }
    for _ in 0..in_flight {
        stream.write(&[7; PAYLOAD]).unwrap();
    }
    while a.poll_transmit(now).is_some() {}
    assert_eq!(a.outbound_queue.inflight_len(), in_flight);
    a
}

/// Chunks looked at while one more message leaves, is acknowledged together
/// with the oldest, and the association is polled in vain.
fn visited_for_one_more(in_flight: usize) -> usize {
    let now = Instant::now();
    let mut a = sending(in_flight, false, now);
    let before = a.outbound_queue.visited();
    a.stream(1).unwrap().write(&[8; PAYLOAD]).unwrap();
    assert!(a.poll_transmit(now).is_some());
    assert!(a.poll_transmit(now).is_none());
    let sack = ChunkSelectiveAck {
        cumulative_tsn_ack: a.cumulative_tsn_ack_point.wrapping_add(1),
        advertised_receiver_window_credit: 1 << 20,
        ..Default::default()
    };
    a.handle_sack(&sack, now).unwrap();
    assert!(a.poll_transmit(now).is_none());
    assert_eq!(a.outbound_queue.inflight_len(), in_flight);
    a.outbound_queue.visited() - before
}

#[test]
fn a_packet_costs_the_same_whatever_is_in_flight() {
    let few = visited_for_one_more(10);
    assert_eq!(visited_for_one_more(1_000), few);
    assert_eq!(visited_for_one_more(50_000), few);
    assert!(few < 20, "{few}");
}

#[test]
fn a_chunk_is_looked_at_once_for_its_retransmission_however_small_the_window() {
    let now = Instant::now();
    let count = 1_000;
    let mut a = sending(count, false, now);
    a.outbound_queue.mark_all_to_retransmit();
    a.cwnd = a.mtu;
    let before = a.outbound_queue.visited();
    let mut sent = 0;
    for _ in 0..count {
        sent += a
            .get_data_packets_to_retransmit(now)
            .iter()
            .map(|p| p.chunks.len())
            .sum::<usize>();
    }
    assert_eq!(sent, count);
    // Three lookups when it is its turn, and one where the window ends.
    assert!(a.outbound_queue.visited() - before < 6 * count);
}

#[test]
fn what_may_expire_is_still_looked_for() {
    let now = Instant::now();
    let mut a = sending(100, true, now);
    a.outbound_queue.mark_all_to_retransmit();
    let later = now + Duration::from_millis(1000);
    assert!(a.get_data_packets_to_retransmit(later).is_empty());
    for i in 0..100 {
        assert!(
            a.outbound_queue
                .is_abandoned((u32::MAX - 5).wrapping_add(i))
        );
    }
}
