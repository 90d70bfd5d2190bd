-- Run once, when the data folder is new: a database for each service. Their roles come with the first migration.
CREATE DATABASE orders;
CREATE DATABASE notifications;
