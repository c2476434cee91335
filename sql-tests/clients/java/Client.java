import java.sql.*;
import java.util.HexFormat;
import org.sqlite.SQLiteConfig;

public class Client {
  public static void main(String[] args) throws SQLException {
    SQLiteConfig config = new SQLiteConfig();
    config.enableLoadExtension(true);
    Connection db = config.createConnection("jdbc:sqlite:shop.db");
    Statement sql = db.createStatement();
    sql.execute("SELECT load_extension('build/bitcask')");
    sql.execute("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')");
    PreparedStatement insert = db.prepareStatement("REPLACE INTO kv VALUES (?, ?)");
    insert.setString(1, "user:1");
    insert.setString(2, "Ada");
    insert.executeUpdate();
    ResultSet rows = sql.executeQuery("SELECT key, value FROM kv ORDER BY key");
    while (rows.next()) System.out.println(rows.getString(1) + " " + rows.getString(2));

    more(db, sql, insert);
    db.close();
    System.out.println("closed");
  }

  static void more(Connection db, Statement sql, PreparedStatement insert) throws SQLException {
    sql.execute("CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)");
    db.setAutoCommit(false);
    sql.executeUpdate("INSERT INTO notes VALUES ('hello', 'gr\u00fc\u00dfe')");
    insert.setString(1, "binary");
    insert.setBytes(2, new byte[] {0, (byte) 0xff, 0x10});
    insert.executeUpdate();
    db.commit();
    System.out.println("text: " + sql.executeQuery("SELECT body FROM notes WHERE id = 'hello'").getString(1));
    byte[] value = sql.executeQuery("SELECT value FROM kv WHERE key = 'binary'").getBytes(1);
    System.out.println("blob: " + HexFormat.of().formatHex(value));
    value = sql.executeQuery("SELECT (SELECT value FROM kv WHERE key = 'none')").getBytes(1);
    System.out.println("null: " + (value == null ? "yes" : "no"));
    sql.executeUpdate("DELETE FROM kv");
    db.rollback();
    System.out.println("rows after rollback: " + sql.executeQuery("SELECT count(*) FROM kv").getInt(1));
    try {
      sql.executeUpdate("INSERT INTO kv VALUES ('user:1', 'Eve')");
    } catch (SQLException error) {
      System.out.println("error: " + error.getMessage().replaceAll(".*\\((.*)\\).*", "$1"));
    }
    db.rollback();
  }
}
