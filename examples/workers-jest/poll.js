const API = process.env.API || 'https://api.example.com';

// The states of a job, from its first to its last.
module.exports = async function poll() {
  const states = [];
  while (states[states.length - 1] !== 'done') {
    states.push((await (await fetch(`${API}/jobs/1`)).json()).state);
    await new Promise((soon) => setTimeout(soon, 100));
  }
  return states;
};
