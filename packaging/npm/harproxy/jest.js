// `module.exports = require('harproxy/jest')({ … })`: a Jest configuration in which each test is a session.
'use strict';

const prepareWorkers = require('./workers.js');

module.exports = function withHarproxy(config = {}) {
  prepareWorkers();
  return { ...config, setupFilesAfterEnv: [...(config.setupFilesAfterEnv || []), require.resolve('./jest-setup.js')] };
};
