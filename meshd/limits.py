"""Every bound in one place, with its unit in the name and its reason beside it.

The rule: a limit that bounds what the net, a file or a caller may cost us stands here, and a test holds it at
the limit and one past it. protocol.md's table of limits is checked against this module.
"""

# Posts and envelopes (protocol.md, "Posts", "Envelopes")
BODY_SIZE_MAX = 16 * 1024  # what a person types, many times over
PARENTS_MAX = 8  # enough to join the loose ends of a partition; bounds the work of a child
NAME_SIZE_MAX = 64  # a name, in UTF-8 bytes
SEQUENCE_MAX = 2**32 - 1  # one author never gets there; fits an SQLite integer many times over
INCARNATION_MAX = 2**63 - 1  # random 63 bits: what SQLite can hold
HLC_MAX = 2**63 - 1  # 48 bits of milliseconds and 16 of counter, kept inside an SQLite integer
ENVELOPE_SIZE_MAX = 34_000  # the largest padding class of a sealed envelope and its header
KEEP_HOURS = {"6h": 6, "24h": 24, "72h": 72, "7d": 168}  # the keep classes a person chooses from
KEEP_DEFAULT = "72h"  # long enough for a post to cross a city by people meeting
KEEP_HOURS_MAX = 7 * 24 + 1  # keep-until past a post's own time: 7 days, rounded up to the hour
EXPIRY_AHEAD_HOURS_MAX = 8 * 24  # past our own time: 7 days, and a day of clocks that are off
HLC_AHEAD_MS = 15 * 60 * 1000  # how far a remote stamp may move our clock past mesh time
HLC_REFUSE_MS = 24 * 3600 * 1000  # a stamp further ahead than this is refused, in silence

LONG_BODY_SIZE_MAX = 30 * 1024  # an epoch with 200 members; with what stands around it, the largest class
LONG_KEEP_HOURS_MAX = 90 * 24 + 1  # keep-until of what is sealed anew while it lives: 90 days, rounded up
PADDING_CLASSES = (
    512,
    2048,
    8192,
    32768,
)  # plaintext sizes of sealed envelopes, so that a length tells little
KEY_DAYS_MAX = 400  # days that a day key is moved on at once: a card from last year; bounds an absurd day
CANDIDATE_KEYS_MAX = 4  # keys of one epoch until its post tells which is the true one: a liar sends others

# Prekeys and key envelopes (protocol.md, "Prekeys", "Key envelopes")
PREKEY_DAYS = 9  # today and eight more: who is off for a week can be sent keys all that time
KEY_ENVELOPE_HOURS = 72  # a key envelope lives as long as most posts do; who shows up later is sent a new one
KEY_PARTS_MAX = 4  # days that so many hours touch; with them a key envelope fits the smallest class
KEY_DELAY_EACH_MS = 2_000  # for each member, the longest delay of a delivery: of 25 online, one or two send
SUPERSEDED_HOURS = 8 * 24  # how long an epoch's key is held once another follows: all sealed under it is over
KEYS_AT_ONCE = 32  # key envelopes made in one event: 20 ms
PREKEYS_DELAY_MS = 60 * 60 * 1000  # into a day, the longest until it is announced: midnight is no signal
KEY_ENVELOPES_WAITING_MAX = (
    16  # for one member, of epochs that we have no key of: its last days in many groups
)

# Requests of strangers (protocol.md, "Directs")
REQUESTS_EACH_MAX = 3  # of one sender: a key, first words, and room for a second thought
REQUESTS_HOUR_MAX = 30  # of all senders in an hour: ten people, more than ask anybody in a day
REQUESTS_MAX = 100  # of all senders: more than anybody answers
REQUEST_TEXT_MAX = 1024  # characters of one that are kept: enough to know who it is
REQUEST_EPOCHS_MAX = 2  # of one sender's direct, of which a key is held: each costs 0.4 us for every envelope
REFUSED_HOURS = 7 * 24  # what a refused sender had sent is over by then

# Receipts (protocol.md, "Directs")
RECEIPT_DELAY_MS = (
    30_000  # the longest wait before one is sent: what comes meanwhile goes with it, and when is blurred
)
RECEIPT_IDS_MAX = 50  # posts in one: with what stands around them, the second smallest class

# Frames and messages (protocol.md, "Link")
FRAME_CLASSES = (256, 1024, 4096, 16384)  # plaintext sizes, so that a length tells little
FRAME_HEAD_SIZE = 3  # u8 flags, u16 length
TAG_SIZE = 16  # ChaCha20-Poly1305
MESSAGE_SIZE_MAX = 512 * 1024  # a reconcile message at a million ids; bounds what a lane may hold
GREETING_SIZE_MAX = 16 * 1024  # a message before hello: 64 links in the handshake may not hold 2 MiB each
LANES = 4  # control, own groups and contacts, the rest of what is fresh, bulk
GIVE_SIZE_MAX = 64 * 1024  # what one give carries: about 10 ms of checking, so that others wait no longer
REFERENCES_MAX = 800  # references in one have, want or gone: a frame, so that nothing urgent waits for two

# Links (protocol.md, "Link", "Who dials")
HANDSHAKE_MS = 5_000  # from link-up to open; slower is a slowloris
FRAME_MS = 10_000  # from a frame's first byte to its last
SEND_STALL_MS = 30_000  # a link whose outbox does not move is closed
UNACKNOWLEDGED_MS = 8_000  # bytes on their way for so long: a new dial is quicker than TCP's next repetition
PING_MS = 10_000  # silence after which a ping goes out
DEAD_MS = 30_000  # silence after which a link is dead
CLOSE_MS = 1_000  # what a closing link has to get its last words out
OUTBOX_SIZE_MAX = 1024 * 1024  # bytes queued on one link
OUTBOX_FILL_SIZE = 64 * 1024  # what the core adds at a time and keeps a bulk outbox at: nothing overtakes it
UNSENT_SIZE = 64 * 1024  # bytes of a link that the kernel takes and does not send yet: likewise
WAITING_SIZE_MAX = 4 * 1024 * 1024  # bytes that found no room in the outbox: who still asks for more is cut
READ_SIZE_MAX = 512 * 1024  # one read, one event, one transaction: 1 150 short posts take 80 ms
READ_SIZE_SHARED = 16 * 1024  # … while others are read too: a frame, of which the references cost 2 ms
SHARED_MS = 100  # another link that was read so lately is read too
HALF_OPEN_MAX = 64  # links in the handshake, both directions
LINKS_MAX = 16  # open links
INBOUND_MAX = 8  # of them accepted from strangers: who floods us with links does not choose all our company
DIALLED_MIN = 6  # links that we dial ourselves, whoever dials us: with so many, any crowd is one mesh
LINKS_MIN = 8  # below this we dial whoever there is: few laptops all link to each other
LINKS_EASY = 12  # above this, a link that we explored takes the place of another
EXPLORE_MS = 20_000  # a linked laptop tries another one, so that two crowds that meet become one
REKEY_RECORDS = 2**15  # records a direction sends under one key
REKEY_MS = 10 * 60 * 1000  # time a direction sends under one key
CROSSED_MS = 10_000  # two links to one peer this close in time were dialled crosswise

# Reconcile (protocol.md, "Reconcile")
RECONCILE_JITTER_MS = 20  # before the first round on a new link, so that a crowd does not ask at one moment
RECONCILE_MIN_MS = 2_000  # pause between periodic rounds, from …
RECONCILE_MAX_MS = 5_000  # … to, at random
RECONCILE_IDLE_MS = 30_000  # doubling up to this while nothing differs
REPEATED_EACH_MS = 30  # a link is left alone for each envelope that stays lacking round after round …
REPEATED_MAX_MS = 15 * 60 * 1000  # … but not for longer: why it did may be over
RECONCILE_FRAME_SIZE = 256 * 1024  # negentropy's frame limit: one step of a huge difference stays near 50 ms
RECONCILE_RANGES_MAX = 40_000  # ranges of one message: twice what an honest full one holds; bounds its work
JITTERED_ROUND_OF = 4  # one round in so many opens with ranges of random size: a step more, and 350 bytes
KEYED_MS = 60_000  # from one keyed round on a link to the next
KEYED_KEYS_MAX = 4_096  # keys that one compares: 3 ms for each message
KEYED_STEPS_MAX = 8  # questions of one, and questions answered in KEYED_MS: three are enough for most
EXPIRES_SOON_S = 15 * 60  # what expires this soon is left out: clocks differ

# Statements (protocol.md, "Statements")
SUBJECT_SIZE_MAX = 64  # bytes of a statement's subject: an identity and as much again

# Groups (protocol.md, "Groups")
GROUP_MEMBERS_MAX = 200  # an epoch with so many fits the largest class, whatever acts and signatures it has
EPOCH_DEPTH_MAX = 2**32 - 1  # no group gets there; bounds what a liar may claim
INVITATIONS_MAX = 64  # that wait for an answer: whoever has our card can send some
EPOCHS_AHEAD_MAX = 16  # of one group, of which a key came from one member and no post yet
EPOCHS_EACH_MAX = 64  # without acts, by one author, that count: a renewal a week is 13 in the life of a post
EPOCHS_MAX = 2048  # of one group: 200 members added one by one, ten times over; 27 MB
VOTES_EACH_MAX = 32  # statements about acts that are kept of one member: more than are under way at a time
VOTES_MAX = 6400  # … and of all: so many of each of GROUP_MEMBERS_MAX; 3 MB
EPOCH_KEY_DAYS = 90  # for so many days an epoch says which key is its own: as long as its post is kept
EPOCH_RENEW_MS = (
    7 * 24 * 3600 * 1000
)  # an epoch is renewed: who copied its secret reads on no longer than that
VOUCH_HOURS = 30 * 24  # how long a vouch lasts: who vouched and is gone should not be believed for long
RESEAL_HOURS = 7 * 24  # life of a fresh envelope of what is sealed anew; it is due in the last quarter of it
HEAL_EACH_MS = 3_000  # times members: the longest wait before healing, which people wait for
UPKEEP_EACH_MS = (
    60_000  # times members: the longest wait before what nobody waits for: word crosses a town meanwhile
)

# Plans (protocol.md, "Plans")
PLAN_DAYS_MAX = 90  # how long a plan is valid: as long as what is sealed anew is kept
PLAN_KEEP_HOURS = 24  # a plan is kept so long past its end: who shows up late is still told what happened
SCENARIOS_MAX = 32  # more than anybody remembers
SCENARIO_NAME_SIZE_MAX = 32  # bytes of a scenario's name, which is spoken and typed
STEWARDS_MAX = 16  # shares of one key: what SLIP-39 can name
RESPONSE_CLASSES = (256, 1024, 4096)  # plaintext sizes of sealed responses, so that a length tells little
RESPONSE_SIZE_MAX = 4094  # of any response: what the largest class holds
RESPONSE_TEXT_SIZE_MAX = 2000  # what is read on a screen in the street
PLACE_SIZE_MAX = 200  # a place, in UTF-8 bytes
CHECKLIST_MAX = 16  # items; more are not worked through
CHECKLIST_ITEM_SIZE_MAX = 200  # … and bytes of each
CALL_SPAN_MS = 12 * 3_600_000  # calls that count together were made within this
CALLS_EACH_MAX = 16  # calls of one scenario that one organiser is heard with, the earliest
VERSIONS_EACH_MAX = 32  # versions by one author in one group: more is somebody who fills our disk
VERSIONS_STRANGERS_MAX = 32  # … and by all together who are in no epoch that is known here
ACTS_EACH_MAX = 1024  # acts by one author in one group: 32 scenarios called and stood down sixteen times
REFUSED_EACH_MAX = (
    32  # refused cues of one member, or of all who are none, that are shown: nobody hides others'
)
PASS_KEY_EACH_MS = (
    200  # times callers: the longest wait before one of them passes on the key of what was called
)
NEWCOMERS_MS = 2_000  # before who let somebody in seals the plans for them: others may be let in just behind
LOOK_MS = 30_000  # from one look to the next at cues that this node judges for itself
CUE_SIZE_MAX = 256  # bytes of a cue
CUE_NODES_MAX = 32  # nodes of its tree: each is judged on everything that is heard
CUE_DEPTH_MAX = 4  # nodes on the way from its root to a leaf, both counted: what people still understand
CUE_BRANCHES_MAX = 16  # cues of which some are needed
WITNESS_KEEP_HOURS = 24  # what is said of the dark and of people is kept: who was off for a day hears of it
ATTEST_HOLD_S = 30 * 60  # an attestation holds: half an hour later a blackout may be over
ATTEST_RENEW_MS = 20 * 60_000  # until it is made anew, so that it holds on while word crosses the mesh …
ATTEST_DELAY_MS = 2 * 60_000  # … and the longest wait besides: all who attest need not speak at one moment
BEAT_MS = 30 * 60_000  # quiet until a heartbeat is due, and the longest wait besides: one in an hour or so
BEAT_ANSWER_MS = 5 * 60_000  # quiet until one answers who calls us silent: a liar gets no more than that
HOLD_FIRST_MS = 60_000  # the longest wait before it is said that a version is here: who arranged it looks
HOLD_AGAIN_MS = 12 * 3_600_000  # until it is said again, and the longest wait besides: about once a day
SILENT_DELAY_MS = 10 * 60_000  # the longest wait before silence is told: word of its end may be on its way
SILENT_AGAIN_MS = 12 * 3_600_000  # until it is told again, if it lasts: half of what its post is kept
WORDS_EACH_MAX = 128  # statements of one member in one group that are held: some plans, all drilled
HEARD_LATELY_MS = 24 * 3_600_000  # who was heard from in this time is there: receipts are daily
CLOCK_OFF_MS = 5 * 60_000  # a stamp further ahead when it comes is of a clock that is off, theirs or ours
PHRASE_SIZE_MAX = 1024  # bytes of a phrase as it is typed: longer than anybody speaks
PHRASE_MEM_BYTES = 256 * 1024 * 1024  # Argon2id memory for a phrase: the same everywhere, …
PHRASE_PASSES = 3  # … as are the passes, or nobody else's lock opens: 0.4 s a guess

# Plan files
PLAN_FILE_SIZE_MAX = 65_536  # bytes: twice what fits a plan

# The internet (docs/internet.md)
HOOK_SIZE_MAX = 1024  # bytes of a hook's program and arguments: who has more to say writes a script
HOOK_S = 30  # how long a hook may run: it wakes somebody or starts something, and the next one waits for it
DARK_AFTER_S = 5 * 60  # what is gone for so long is no hiccup: routers restart in less
DARK_AFTER_S_MIN = 5  # as a setting, to show it to somebody: probes then go out every second
DARK_AFTER_S_MAX = 24 * 3600  # as a setting: who waits longer hears of it from others
INTERNET_LATELY_MS = 7 * 24 * 3600 * 1000  # who saw no internet for so long does not miss it
PROBES_MAX = 4  # of each list: one after the other, they are tried within a fraction of a minute
PROBE_SIZE_MAX = 255  # characters of one: a name of DNS is no longer
PROBE_MS = 4_000  # for one answer: a handshake across the world on a poor line

# Discovery and dialling (protocol.md, "Discovery")
CANDIDATES_MAX = 256  # addresses learned from mDNS, kept in memory only
ADDRESSES_PER_INSTANCE_MAX = 8  # one laptop has few
PORT_MIN = 1024  # never dial a system service
DIAL_MS = 3_000  # until a dial is given up: a lost first packet is repeated after one second
DIALS_MAX = 8  # at once
BACKOFF_MIN_MS = 500  # first pause after a failed dial …
BACKOFF_FEW_MS = (
    1_500  # … doubling up to this while there are few targets: a laptop that is back is soon linked
)
BACKOFF_EACH_MS = 250  # … and up to this for each target there is: all together dial at most 4 a second,
BACKOFF_MAX_MS = 60_000  # … but each at least this often; all with a quarter of jitter
LASTING_MS = 10_000  # a link that lasted so long was no failure

# Time (protocol.md, "Time")
JUMP_MS = 60 * 60 * 1000  # a wall clock that moved so far alone is not believed at once: hellos tell hours
HELLOS_MAX = 16  # links whose hello's hour is remembered: as many as may be open
ASIDE_MAX = 64  # posts of one author held aside until their time comes: more is a wrong clock, or a liar
PRUNE_BUDGET = 64  # rows deleted in one event: 6 ms among a million, 60 if an index has their words
READABLE_DAYS = (
    30  # other people's public posts stay in the log so long after their own time: they were public
)
SEEN_MS = 10 * 60 * 1000  # how often the time is noted on disk: much less than a jump

# A full disk
FULL_RETRY_MS = 5_000  # how often it is tried again: a person who made room waits no longer
ROOM_SIZE = 1024 * 1024  # what must fit before anything is written again: a burst of posts, not one page

# Room (protocol.md, "Room")
CARRY_SIZE_MAX = 2 * 1024**3  # bytes of envelopes: a laptop can spare that; the file has up to a third more
CARRY_IDS_MAX = 2**20  # ids in the set, with and without bodies: 150 MB of memory
INGRESSES_MAX = 1024  # hosts of one run that are told apart: who has IPv6 has hosts without end
STRANGERS_PART = (
    0.25  # of what is carried: strangers may have as much though it was contacts who filled the rest
)

# Eviction
EVICTED_AT_ONCE = 32  # envelopes that one look at an ingress goes through: a megabyte at most

# Log and RPC
READ_LIMIT_DEFAULT = 50  # posts a read shows
READ_LIMIT_MAX = 100_000  # posts one read may ask for; the answer's size is bounded besides
PONG_MS = 10_000  # how long `peer ping` waits: an answer that late is none
WAIT_MS = 30_000  # how long a command waits if its caller does not say
RPC_LINE_SIZE_MAX = 8 * 1024 * 1024  # one JSON value
READ_ANSWER_SIZE = (
    7 * 1024 * 1024
)  # where a read stops early: with what stands beside the posts, still a line
RPC_BATCH_MAX = 1000  # requests in one batch
RPC_CLIENTS_MAX = 64  # at once
RPC_UNREAD_SIZE_MAX = 32 * 1024 * 1024  # of lines not yet ended, all clients together
RPC_UNSENT_SIZE_MAX = 1024 * 1024  # of answers a client has not taken, before we read on from it
RPC_WAITING_MAX = 64  # commands of one client under way, before we read on from it
RPC_SLICE_MAX = 256  # posts read from the log at once for one subscriber: a few milliseconds
RPC_SLICE_SIZE = 1024 * 1024  # … or, when they are long, until so many bytes are ready
QUERY_SIZE_MAX = 1024  # characters of what is searched for: longer than anybody types
QUERY_TERMS_MAX = 64  # words of it: below the depth at which FTS5 refuses an expression
INDEX_SLICE_MAX = 512  # posts indexed for search in one event: about 8 ms
INDEX_SLICE_SIZE = 128 * 1024  # … or, when they are long, until there was so much text
INDEX_QUIET_MS = 250  # no new post for so long: time to index those that came
INDEX_LATEST_MS = 10_000  # it never gets quiet: a search would wait too long
BULK_SIZE = 64 * 1024  # bytes of what was asked for that go out before all links have their say: 1 ms
LOOK_UP_BUDGET = 800  # ids looked up for one link, likewise: 2 ms, and a frame full of those that are gone
STEP_BUDGET = 256  # posts a long step handles before it asks for a Wake

# Bundles
BUNDLE_SIZE_MAX = 2 * 1024**3  # bytes of a file that is imported: what a node has room for
BUNDLE_SLICE_MAX = 256  # envelopes taken from a bundle, or put into one, in one event: 15 ms

# Keyslot (protocol.md does not need it: a file of one home)
KEYSLOT_MEM_BYTES = 256 * 1024 * 1024  # Argon2id memory, used and least accepted: what a laptop can spare
KEYSLOT_PASSES = 3  # Argon2id passes, used and least accepted: 0.4 s a guess with that memory
KEYSLOT_MEM_BYTES_MAX = 1024 * 1024 * 1024  # more is a tampered file that wants the machine to swap
KEYSLOT_PASSES_MAX = 16  # more is a tampered file that wants the start to take minutes
PASSPHRASE_SIZE_MAX = 1024  # bytes: longer than anybody types, and bounds what is read of a wrong file
IDENTITY_FILE_SIZE_MAX = 4 * 1024 * 1024  # of `mesh id export`: thousands of contacts
KEYSLOT_SIZE_MAX = 1024  # it has 163 bytes; bounds what is read of a file that is something else

# Gossip (protocol.md, "Gossip")
EAGER_MIN = 3  # eager links that a duplicate leaves alone: with fewer, every laptop that goes breaks the tree
ANNOUNCE_MS = 20  # what an announcement waits for others to go with it; fresh ones only if others just went
GRAFT_MS = 60  # what is announced has so long to come by itself: a few hops of a LAN
ANSWER_MS = 1_000  # after this, the next of those who announced it is asked
SLICE_MAX = 16  # envelopes of one link that are looked at before all others have their say: 2 ms
SLICE_MS = 20  # from one slice to the next with LINKS_MAX links, less with fewer: it takes half of our time
NAMED_AT_ONCE = 256  # ids that were announced and are asked for, or waited for in vain, in one event: 1 ms
REFERENCES_SECOND = 4_096  # named by one link in have and want while others speak: 20 ms of looking up
LIVELY_MS = 1_000  # a link that said something so lately is kept waiting no longer than that
FRESH_MAX = (
    16_384  # fresh envelopes of one ingress link that wait for one other: ids, 2 MB; a round brings the rest
)
TURN_SIZE = (
    4 * 1024
)  # bytes of what is fresh that goes on for one ingress link before the next: ten short posts

# Rates (protocol.md, "Rates")
PUSH_MINUTE = 60  # envelopes a minute that one link may push unasked: more than a lively channel has
PUSH_SIZE_MINUTE = 2 * 1024 * 1024  # bytes a minute, likewise; a bucket holds as many
PUSH_BURST = 300  # envelopes that a full bucket holds
CONTACT_FACTOR = 10  # times as much of all three where a contact is behind the link
RECEIVED_FACTOR = 2  # how much more the receiver's bucket holds: a stream that stalls delivers at once
OVER_RATE_MS = 250  # who gives more than it may is not read for so long: what is dropped costs time too
SPENT_MAX = 1024  # links that ended whose buckets are kept until they are full again: those of ten minutes
LATE_MAX = 256  # of one ingress, announced instead of pushed and not there yet: 50 ms of taking in

# What is asked for
OWED_MAX = 100_000  # ids one link may ask us for at a time: a day of a busy town
WANTS_MAX = (
    16_384  # ids awaited from one link after a round showed that it has them; more come with the next round
)
ANNOUNCED_MAX = (
    4_096  # ids awaited from one link because it announced them: an announcement costs nothing to invent
)
UNTIMELY_MS = 60_000  # what was refused for reasons of time is not asked for again for so long
WANTED_MS = 10_000  # after this, somebody else is asked
ROUND_MS = 30_000  # a round that made no step for so long is given up
TAKING_IN_MS = 300  # silence after which a link has brought all it had, and others are answered
TURN_MS = 1_000  # that link's turn, if it claims to have more and brings nothing …
TURN_EACH_MS = 10  # … and what each new envelope adds: below 100 a second, another may bring some too
HELD_POSTS_MAX = 4096  # own posts whose receipts are counted
