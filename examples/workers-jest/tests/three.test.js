const poll = require('../poll');

// The same in four files, so that four workers poll the same job.
test('a job runs to its end', async () => {
  expect(await poll()).toEqual(['queued', 'running', 'done']);
});
