/** The time between two samples, and between two refreshes of the page. */
export const SAMPLE_INTERVAL_MS = 5000;
/** Fifteen minutes of samples. */
export const SAMPLES_MAX = 180;
/** What live figures cover. */
export const LIVE_SECONDS = 60;
/** The homeservers and the subscribers that are listed. */
export const ROWS_MAX = 100;
/** The changes that are listed. */
export const LAST_CHANGES_MAX = 20;
/** How long a viewer waits for the members of the log: the page must answer while the database does not. */
export const MEMBERS_WAIT_MS = 1000;
