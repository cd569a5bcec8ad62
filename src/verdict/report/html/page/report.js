
// What the page shows: the data that it carries, and what refers to what in it.
const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);

const entryKey = (fixture, entry) => `${fixture}.${entry}`;
const entries = new Map(data.entries.map((entry) => [entryKey(entry.fixture, entry.entry), entry]));
const numberOf = new Map(data.names.map((name, number) => [name, number]));

/** The entries that had a part in a request, the one that matched first. */
const entriesOf = (request) => (request.entry ? [request.entry[1], ...(request.followed || [])] : [])
  .map((entry) => ({ fixture: request.entry[0], entry }));

const requests = new Map();
const users = new Map();
data.requests.forEach((request, index) => {
  request.index = index;
  // Reports of several runs may count alike.
  request.key = requests.has(`r${request.id}`) ? `r${request.id}-${index}` : `r${request.id}`;
  request.findings = [];
  requests.set(request.key, request);
  if (request.outcome === 'miss') return;
  for (const { fixture, entry } of entriesOf(request)) {
    const key = entryKey(fixture, entry);
    if (!users.has(key)) users.set(key, []);
    users.get(key).push(request);
  }
});

data.findings.forEach((finding, index) => {
  finding.index = index;
  finding.seen = (finding.requests || []).map((id) => requests.get(`r${id}`)).filter(Boolean);
  for (const request of finding.seen) request.findings.push(finding);
});

const isFailing = (request) => request.findings.some((finding) => finding.severity === 'error');
/** The requests and findings that fail the run. A finding names a limited number of its requests, and counts all of them. */
const failures = (() => {
  const failing = data.findings.filter((finding) => finding.severity === 'error');
  const asked = failing.filter((finding) => finding.requests?.length);
  const unnamed = asked.reduce((sum, { times, requests: named }) => sum + Math.max(0, times - named.length), 0);
  return { requests: new Set(asked.flatMap((finding) => finding.requests)).size + unnamed, findings: asked.length, others: failing.length - asked.length };
})();

const placeOf = (fixture, entry) => `${data.names[fixture]}#${entry}`;
const fieldsOf = (numbers) => (numbers || []).map((number) => data.fields[number]);
const payloadOf = (number) => (number === undefined ? null : data.payloads[number]);
const field = (numbers, name) => (fieldsOf(numbers).find(([known]) => known.toLowerCase() === name) || [])[1];
