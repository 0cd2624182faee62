use super::*;
use crate::db::calls::audit::Event;

#[test]
fn an_event_id_leads_back_to_its_position() {
    for position in [(0, 0), (1, 1), (0xabc, 77), (123_456_789_012, 1 << 60)] {
        let event = Event {
            position,
            at: 0,
            cause: String::new(),
            task_id: None,
            ver: None,
            prior: None,
            status: None,
            fence: None,
            attempts: None,
            lease_id: None,
            worker_id: None,
            subject: None,
            actor: String::new(),
            detail: None,
        };
        let id = event_id(&event);
        assert_eq!(event_position(id), position);
        assert_eq!(id.get_version_num(), 8);
    }
}
