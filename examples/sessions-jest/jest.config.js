module.exports = require('harproxy/jest')({ testEnvironment: 'node' });
